"""`omnimask demo`: a page to drop files on. Imports nothing heavy until it runs."""

import argparse
from pathlib import Path

from omnimask.commands.trusting import add_trust_option


def add_demo_command(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Adds `demo` to the parser of `omnimask`."""
    demo = commands.add_parser(
        "demo", help="a page in the browser: drop a file, see mask, reconstruction and neighbours"
    )
    demo.add_argument("run", type=Path, help="run folder")
    demo.add_argument(
        "--host", default="127.0.0.1", help="0.0.0.0 lets other machines in (%(default)s)"
    )
    demo.add_argument("--port", type=int, default=7860, help="%(default)s")
    add_trust_option(demo)
    demo.set_defaults(run_command=_demo)


def _demo(arguments: argparse.Namespace) -> None:
    from omnimask.foundation.optional import needs
    from omnimask.foundation.packages import check_our_packages
    from omnimask.report.demo.looking import Demo
    from omnimask.report.demo.page import serve

    check_our_packages()
    needs("gradio", extra="demo", what="omnimask demo")  # before the run is read
    demo = Demo(arguments.run)
    print(f"http://{arguments.host}:{arguments.port} (ends with Ctrl-C)", flush=True)
    serve(demo, host=arguments.host, port=arguments.port)
