# Paramiko through our server: paramiko_client.py HOST PORT USER KEY < commands.
# Each line of standard input is one command in JSON; each answer is one line.
import json
import logging
import sys

import paramiko

logging.getLogger("paramiko").addHandler(logging.NullHandler())


def read_all(channel):
    parts = []
    while True:
        part = channel.recv(65536)
        if not part:
            return b"".join(parts)
        parts.append(part)


def direct(transport, host, port, data):
    channel = transport.open_channel(
        "direct-tcpip", (host, port), ("127.0.0.1", 1), timeout=30
    )
    channel.sendall(data.encode())
    channel.shutdown_write()
    return {"answer": read_all(channel).decode()}


def listen(transport):
    return {"port": transport.request_port_forward("127.0.0.1", 0)}


def echo_one(transport):
    channel = transport.accept(30)
    data = read_all(channel)
    channel.sendall(data)
    channel.close()
    return {"bytes": len(data)}


def cancel(transport, port):
    transport.cancel_port_forward("127.0.0.1", port)
    return {}


def session(transport):
    transport.open_session(timeout=30)
    return {}


COMMANDS = {
    "direct": direct,
    "listen": listen,
    "echo_one": echo_one,
    "cancel": cancel,
    "session": session,
}


def perform(transport, command):
    name = command.pop("do")
    try:
        return COMMANDS[name](transport, **command)
    except paramiko.ChannelException as error:
        return {"code": error.code, "text": error.text}
    except paramiko.SSHException as error:
        return {"error": str(error)}


def login(transport, user, key):
    if key == "password":
        try:
            transport.auth_password(user, "secret")
        except paramiko.BadAuthenticationType as error:
            return {"refused": error.allowed_types}
        except paramiko.AuthenticationException:
            return {"refused": []}
    else:
        transport.auth_publickey(user, paramiko.Ed25519Key.from_private_key_file(key))
    return {"cipher": transport.remote_cipher}


def say(answer):
    print(json.dumps(answer), flush=True)


def main():
    host, port, user, key = sys.argv[1:]
    transport = paramiko.Transport((host, int(port)))
    transport.start_client(timeout=30)
    say(login(transport, user, key))
    for line in sys.stdin:
        say(perform(transport, json.loads(line)))
    transport.close()


main()
