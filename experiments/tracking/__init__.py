"""Where logs go: CSV, TensorBoard, W&B."""
