"""What is known about an image, and how facts agree, contradict and answer questions."""
