"""The program of the image `meshtest/proxy`: `istio-init`, `rules` (prints what istio-init would do), or `proxy`."""

import asyncio
import json
import logging
import os
import signal
import subprocess
import sys

import aiohttp

from reference.agent.bootstrap import bootstrap
from reference.agent.certificates import CertificateSource, make_request
from reference.agent.envoy import Envoy
from reference.agent.http import AgentHttp
from reference.agent.rules import BadAnnotation, from_annotations, nft_script
from reference.agent.sds import SecretServer
from reference.agent.settings import BadSettings, Files, Settings, from_environment

log = logging.getLogger("agent")


def script() -> str:
    """The packet rules for this pod, from the annotations in its environment."""
    return nft_script(from_annotations(json.loads(os.environ.get("ISTIO_METAJSON_ANNOTATIONS") or "{}")))


def init() -> int:
    """Applies the packet rules in the pod's network namespace. Needs root."""
    text = script()
    # `delete table` fails without a table: declare it first, in the same transaction.
    done = subprocess.run(["nft", "-f", "-"], input=text, text=True, capture_output=True, check=False)
    if done.returncode:
        sys.stderr.write(f"istio-init: nft refused the packet rules: {done.stderr}\n{text}")
    return done.returncode


async def proxy(settings: Settings, files: Files) -> int:
    """Runs until Envoy ends; returns its exit code."""
    secrets = SecretServer(files.sds_socket)
    await secrets.start()
    loop = asyncio.get_running_loop()
    timeout = aiohttp.ClientTimeout(total=10)
    async with aiohttp.ClientSession(timeout=timeout) as session:
        envoy = Envoy(settings, session)
        http = AgentHttp(settings, envoy, session, secrets.served)
        # Envoy needs longest, so it goes first; it waits for its certificate by itself.
        await envoy.start(bootstrap(settings, str(files.sds_socket)), files.bootstrap)
        source = CertificateSource(settings, files.root_cert, files.token, secrets.offer)
        tasks = [asyncio.create_task(source.run(make_request()))]
        await http.start()
        tasks.append(asyncio.create_task(http.watch()))

        def drain() -> None:
            if not http.draining:
                http.draining = True
                tasks.append(asyncio.create_task(envoy.drain()))

        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, drain)
        try:
            return await envoy.wait()
        finally:
            for task in tasks:
                task.cancel()
            await envoy.end()
            await http.stop()
            await secrets.stop()


def main(argv: list[str]) -> int:
    """The exit code: Envoy's own, 2 for settings that are wrong."""
    logging.basicConfig(
        level=logging.INFO, stream=sys.stderr, format="%(asctime)s\t%(levelname)s\t%(name)s\t%(message)s"
    )
    mode = argv[0] if argv else "proxy"
    try:
        if mode == "istio-init":
            return init()
        if mode == "rules":
            sys.stdout.write(script())
            return 0
        if mode == "proxy":
            return asyncio.run(proxy(from_environment(os.environ), Files()))
    except (BadSettings, BadAnnotation) as error:
        sys.stderr.write(f"{mode}: {error}\n")
        return 2
    sys.stderr.write(f"expected istio-init, rules or proxy, got {mode!r}\n")
    return 2


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
