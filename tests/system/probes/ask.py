# SPDX-License-Identifier: LGPL-2.1-or-later
"""ask.py CALLS: sends each of a list of calls on the tenant's own socket, and prints a list of what
came first to each."""

import json
import socket
import sys

end = socket.socket(socket.AF_UNIX)
end.connect("/run/tenant/meter.sock")
came, answers = b"", []
for call in json.loads(sys.argv[1]):
    end.sendall(json.dumps(call).encode() + b"\0")
    while b"\0" not in came:
        piece = end.recv(65536)
        if not piece:
            sys.exit("the connection has ended")
        came += piece
    answer, _, came = came.partition(b"\0")
    answers.append(json.loads(answer))
print(json.dumps(answers))
