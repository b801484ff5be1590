"""Decoding by decord, in a process of its own that may die.

decord ends its process on some damaged files (dmlc/decord issues 25, 99, 113), gives wrong frames
inside a DataLoader (194), and loses memory (157, 208). So it runs in a child that is started
afresh, not forked, one for each process that reads; if the child dies or hangs, the file is a
`DataError` and the next file gets a new child. Frames come over a socket.
"""

import atexit
import json
import os
import subprocess
import sys
import threading
from multiprocessing.connection import Pipe
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Int64, UInt8

from modalities.video.readers.clock import check_times
from modalities.video.readers.frame_index import FrameIndex
from omnimask.foundation.errors import DataError

_CHILD = Path(__file__).with_name("decord_child.py")
_PATIENCE_S = 120.0
_CLIPS_PER_CHILD = 1000  # then a new one, for the memory it has lost


class _Child:
    """A running child. If it dies or hangs, its methods raise EOFError or OSError."""

    def __init__(self) -> None:
        self.connection, theirs = Pipe()
        with theirs:
            number = theirs.fileno()
            self.process = subprocess.Popen(
                [sys.executable, str(_CHILD), str(number)],
                pass_fds=[number],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,  # decord prints the whole of a bad file (issue 299)
                stderr=subprocess.DEVNULL,
            )
        self.num_clips = 0
        self.version = ""  # of decord, from its first message

    def receive(self) -> bytes:
        if not self.connection.poll(_PATIENCE_S):
            raise TimeoutError(f"no answer within {_PATIENCE_S:g} s")
        return self.connection.recv_bytes()

    def ask(self, path: Path, ids: list[int]) -> tuple[dict[str, Any], bytes]:
        self.num_clips += 1
        self.connection.send_bytes(json.dumps({"path": str(path), "ids": ids}).encode())
        answer = json.loads(self.receive())
        return answer, self.receive() if "shape" in answer else b""

    def stop(self) -> None:
        self.connection.close()
        self.process.kill()  # nothing in it is worth an orderly end
        self.process.wait()


# By process id: a forked process leaves its parent's child alone and starts its own.
_children: dict[int, _Child] = {}
_one_at_a_time = threading.Lock()


def version() -> str:
    """Raises ImportError where it cannot be loaded."""
    with _one_at_a_time:
        return _started().version


def decode(
    path: Path, index: FrameIndex, ids: Int64[np.ndarray, " k"]
) -> UInt8[np.ndarray, "k h w 3"]:
    """Frames `ids` (ascending, each once) as RGB, turned upright."""
    with _one_at_a_time:
        child = _started()
        try:
            answer, data = child.ask(path, ids.tolist())
        except (EOFError, OSError) as error:
            _stop()
            raise DataError(
                f"{path}: decord died or hung on it ({type(error).__name__} {error}); use another "
                "backend, or re-encode or remove the file"
            ) from error
        if child.num_clips >= _CLIPS_PER_CHILD:
            _stop()
    if "error" in answer:
        raise DataError(f"{path}: decord cannot decode it ({answer['error']}); replace it")
    check_times(path, index, ids, np.array(answer["times_s"]), by="decord")
    return np.frombuffer(bytearray(data), dtype=np.uint8).reshape(answer["shape"])


def _started() -> _Child:
    """This process's child; ImportError if decord cannot be loaded."""
    if os.getpid() not in _children:
        child = _Child()
        try:
            hello = json.loads(child.receive())
        except (EOFError, OSError) as error:
            hello = {"error": f"its process ended while it was loaded ({error})"}
        if "error" in hello:
            child.stop()
            raise ImportError(hello["error"])
        child.version = hello["version"]
        _children[os.getpid()] = child
    return _children[os.getpid()]


def _stop() -> None:
    child = _children.pop(os.getpid(), None)
    if child is not None:
        child.stop()


atexit.register(_stop)
