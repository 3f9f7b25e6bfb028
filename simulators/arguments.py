"""The command line of a simulator: the port and nothing else; the rest is environment."""

import argparse


def port_from_arguments(program: str, default: int) -> int:
    parser = argparse.ArgumentParser(prog=f"python -m {program}")
    parser.add_argument("--port", type=int, default=default)
    return parser.parse_args().port
