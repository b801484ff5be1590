"""The `omnimask` command."""

import argparse
import os
import select
import signal
import sys
from collections.abc import Sequence

from omnimask.commands.compare import add_compare_command
from omnimask.commands.demo import add_demo_command
from omnimask.commands.doctor import add_doctor_command
from omnimask.commands.draw import add_draw_command
from omnimask.commands.embed import add_embed_command
from omnimask.commands.export import add_export_command
from omnimask.commands.finetune import add_finetune_command
from omnimask.commands.import_encoder import add_import_command
from omnimask.commands.impute import add_impute_command
from omnimask.commands.inspect import add_inspect_command
from omnimask.commands.new import add_new_command
from omnimask.commands.pretrain import add_pretrain_command
from omnimask.commands.probe import add_probe_command
from omnimask.commands.recipes import add_recipes_command
from omnimask.commands.report import add_report_command
from omnimask.commands.sample_data import add_sample_data_command
from omnimask.commands.scan import add_scan_command
from omnimask.commands.search import add_search_commands
from omnimask.commands.shard import add_shard_command
from omnimask.commands.sweep import add_sweep_command
from omnimask.commands.trusting import trust_what_was_said
from omnimask.foundation.errors import OmnimaskError


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="omnimask", description=__doc__)
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    add_pretrain_command(commands)
    add_inspect_command(commands)
    add_sweep_command(commands)
    add_report_command(commands)
    add_compare_command(commands)
    add_draw_command(commands)
    add_demo_command(commands)
    add_finetune_command(commands)
    add_export_command(commands)
    add_import_command(commands)
    add_impute_command(commands)
    add_embed_command(commands)
    add_search_commands(commands)
    add_probe_command(commands)
    add_sample_data_command(commands)
    add_scan_command(commands)
    add_shard_command(commands)
    add_doctor_command(commands)
    add_recipes_command(commands)
    add_new_command(commands)
    return parser


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs a command; an `OmnimaskError` is printed without a traceback and gives its own exit
    status, 2 as a rule.

    Where nobody reads on (`omnimask recipes | head -2`) it ends without a word, with status 141.
    """
    try:
        try:
            status = _run(arguments)
        except SystemExit:  # after --help, too, what was printed may still lie in the buffer
            sys.stdout.flush()
            raise
        sys.stdout.flush()
    except BrokenPipeError:
        unread = [stream for stream in (sys.stdout, sys.stderr) if _is_unread(stream.fileno())]
        if not unread:  # another pipe broke, which is an error as any other
            raise
        nowhere = os.open(os.devnull, os.O_WRONLY)
        for stream in unread:  # Python flushes them once more when it ends
            os.dup2(nowhere, stream.fileno())
        return 128 + signal.SIGPIPE
    return status


def _is_unread(descriptor: int) -> bool:
    """Whether it is a pipe whose reader has closed it."""
    poll = select.poll()
    poll.register(descriptor, 0)
    return any(event & select.POLLERR for _, event in poll.poll(0))


def _run(arguments: Sequence[str] | None) -> int:
    parsed = _parser().parse_args(arguments)
    # Before torch is loaded: OpenMP threads that wait should spin briefly and then sleep. Loader
    # workers share their cores, and long spinning can make a step many times slower.
    os.environ.setdefault("GOMP_SPINCOUNT", "20000")
    try:
        trust_what_was_said(parsed)
        parsed.run_command(parsed)
    except OmnimaskError as error:
        print(f"omnimask: {error}", file=sys.stderr)
        return error.status
    return 0
