# asyncssh through our server: asyncssh_client.py HOST PORT USER KEY < commands.
# Each line of standard input is one command in JSON; each answer is one line.
import asyncio
import json
import sys
import warnings

warnings.filterwarnings("ignore")
import asyncssh  # noqa: E402


async def direct(connection, listeners, host, port, data):
    reader, writer = await connection.open_connection(host, port)
    writer.write(data.encode())
    writer.write_eof()
    answer = await reader.read()
    writer.close()
    return {"answer": answer.decode()}


async def local_path(connection, listeners, path, data):
    reader, writer = await connection.open_unix_connection(path)
    writer.write(data.encode())
    writer.write_eof()
    answer = await reader.read()
    writer.close()
    return {"answer": answer.decode()}


async def listen(connection, listeners, to_host, to_port):
    listener = await connection.forward_remote_port("127.0.0.1", 0, to_host, to_port)
    if listener is None:
        return {"error": "refused"}
    listeners[listener.get_port()] = listener
    return {"port": listener.get_port()}


async def cancel(connection, listeners, port):
    listener = listeners.pop(port)
    listener.close()
    await listener.wait_closed()
    return {}


async def session(connection, listeners):
    await connection.run("true")
    return {}



COMMANDS = {
    "direct": direct,
    "local_path": local_path,
    "listen": listen,
    "cancel": cancel,
    "session": session,
}


async def perform(connection, listeners, command):
    name = command.pop("do")
    try:
        return await COMMANDS[name](connection, listeners, **command)
    except asyncssh.ChannelOpenError as error:
        return {"code": error.code, "text": error.reason}
    except asyncssh.ChannelListenError as error:
        return {"error": str(error)}


def say(answer):
    print(json.dumps(answer), flush=True)


async def main():
    host, port, user, key = sys.argv[1:]
    listeners = {}
    async with asyncssh.connect(
        host,
        int(port),
        username=user,
        client_keys=[key],
        known_hosts=None,
        config=None,
        agent_path=None,
        rekey_bytes=256 * 1024,
    ) as connection:
        say({"cipher": connection.get_extra_info("send_cipher")})
        loop = asyncio.get_running_loop()
        while True:
            line = await loop.run_in_executor(None, sys.stdin.readline)
            if not line:
                break
            say(await perform(connection, listeners, json.loads(line)))


asyncio.run(main())
