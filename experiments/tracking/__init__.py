"""Writers of logs: CSV, TensorBoard, W&B."""
