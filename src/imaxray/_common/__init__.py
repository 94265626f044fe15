"""What every room uses: files, folders, locks, digests, plug-ins, printed text, defaults."""
