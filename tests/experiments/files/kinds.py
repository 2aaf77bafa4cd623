"""Kinds of files that are read: how a small one is made, read, and damaged."""

from __future__ import annotations

from expirespan.experiments.settings.config_file import read_config
from tests.experiments.files import checkpoints as c
from tests.experiments.files import logs, results, traces
from tests.experiments.files.checkpoint_values import of_checkpoints
from tests.experiments.files.tries import Kind

AGENTS = (ValueError, FileNotFoundError)
KINDS = [
    Kind("agent", ".zip", c.agent_file, c.read_agent, of_checkpoints, AGENTS),
    Kind("policy", ".zip", c.policy_file, c.read_policy, of_checkpoints, AGENTS),
    Kind("sequence checkpoint", ".zip", c.sequence_file, c.read_sequence, of_checkpoints),
    Kind("trace", ".npz", traces.trace_file, traces.read_trace, traces.of_traces),
    Kind("progress.csv", ".csv", logs.csv_file, logs.read_csv_file, logs.of_logs, partial=True),
    Kind("evaluations.jsonl", ".jsonl", logs.evaluations_file, logs.read_evaluations, logs.of_logs, partial=True),
    Kind("settings", ".yaml", logs.settings_file, read_config, logs.of_settings, lax=True),
    Kind("evaluation", ".json", results.evaluation_file, results.read_evaluation, results.of_results, lax=True),
    Kind("outcome", ".json", results.outcome_file, results.read_outcome, results.of_results, lax=True),
    Kind("sequence result", ".json", results.sequence_file, results.read_sequence, results.of_results, lax=True),
    Kind("text", ".zip", results.text_file, results.read_text, results.of_texts),
]  # fmt: skip
