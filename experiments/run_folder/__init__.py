"""The folder of a run: what lies where, atomic files, where a number comes from."""
