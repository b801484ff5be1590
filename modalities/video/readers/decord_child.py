"""The process that decord runs in; `with_decord.py` starts it and says why.

Run by its path with the number of a socket. Reads requests {"path", "ids"} and answers with
{"shape", "times_s"} and then the pixels, or with {"error"}; ends when the socket is closed.
Imports nothing but decord, so that it starts at once.
"""

import json
import os
import signal
import sys
from multiprocessing.connection import Connection


def main() -> None:
    signal.signal(
        signal.SIGINT, signal.SIG_IGN
    )  # Ctrl-C is for the parent, which closes the socket
    connection = Connection(int(sys.argv[1]))
    try:
        import decord
    except (ImportError, OSError, RuntimeError) as error:
        connection.send_bytes(json.dumps({"error": str(error)}).encode())
        return
    connection.send_bytes(json.dumps({"version": decord.__version__}).encode())
    while True:
        try:
            request = json.loads(connection.recv_bytes())
        except EOFError:
            return
        _answer(connection, request["path"], request["ids"])


def _answer(connection: Connection, path: str, ids: list[int]) -> None:
    import decord

    try:
        reader = decord.VideoReader(path, num_threads=1)
        frames = reader.get_batch(ids).asnumpy()
        times_s = reader.get_frame_timestamp(ids)[:, 0].tolist()
    # decord's own error is a RuntimeError subclass of no public name.
    except (RuntimeError, ValueError, IndexError, OSError) as error:
        connection.send_bytes(json.dumps({"error": str(error).splitlines()[0]}).encode())
        return
    connection.send_bytes(json.dumps({"shape": frames.shape, "times_s": times_s}).encode())
    connection.send_bytes(frames.tobytes())


if __name__ == "__main__":
    main()
    os._exit(0)  # decord's threads may hang at an ordinary exit
