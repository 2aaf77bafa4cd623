"""Trained policies as files to act with: a policy alone for PyTorch, or the graph of one step for ONNX."""

from expirespan.agents.export.deployed import DeployedPolicy
from expirespan.agents.export.onnx_file import export_onnx

__all__ = ["DeployedPolicy", "export_onnx"]
