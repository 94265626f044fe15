"""Tasks stage."""
