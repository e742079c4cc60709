"""Uses a running node's local API through aioipfs, a second client library made for Kubo.

Usage: kubo_aio.py API_URL. Ends with 0 when everything was as the library expects.
"""

import asyncio
import os
import sys
import tempfile
import urllib.parse

import aioipfs


def same(found, wanted, what):
    if found != wanted:
        raise SystemExit(f"{what}: found {found!r}, wanted {wanted!r}")


async def refused(what, error, call):
    try:
        await call
    except error:
        return
    raise SystemExit(f"{what} was not refused")


async def gather(stream):
    return [entry async for entry in stream]


async def files(client, folder):
    """Adds, reads and lists; answers the CIDs by name."""
    os.makedirs(os.path.join(folder, "album", "inner"))
    content = os.urandom(3_000_000)
    for name, data in [("one.txt", b"one\n"), ("inner/two.bin", content)]:
        with open(os.path.join(folder, "album", name), "wb") as file:
            file.write(data)
    added = {}
    async for entry in client.add(os.path.join(folder, "album"), recursive=True):
        added[entry["Name"]] = entry["Hash"]
    same(
        set(added), {"album", "album/one.txt", "album/inner", "album/inner/two.bin"}, "names")
    root = added["album"]
    same(await client.cat(f"/ipfs/{root}/one.txt"), b"one\n", "cat")
    same(await client.cat(added["album/inner/two.bin"], offset=5, length=9), content[5:14], "part")
    listed = (await client.ls(root))["Objects"][0]["Links"]
    same([(link["Name"], link["Type"]) for link in listed], [("inner", 1), ("one.txt", 2)], "ls")
    streamed = await gather(client.core.ls_streamed(root))
    names = [link["Name"] for part in streamed for link in part["Objects"][0]["Links"]]
    same(names, ["inner", "one.txt"], "ls, streamed")
    target = os.path.join(folder, "got")
    os.mkdir(target)
    same(await client.get(root, dstdir=target), True, "get")
    with open(os.path.join(target, root, "inner", "two.bin"), "rb") as file:
        same(file.read(), content, "what get wrote")
    same(await client.core.resolve(f"/ipfs/{root}/one.txt"),
         {"Path": f"/ipfs/{added['album/one.txt']}"}, "resolve")
    return added


async def options(client):
    """The options of add."""
    text = (await client.add_str("text"))["Hash"]
    same(await client.cat(text), b"text", "add_str")
    same((await client.add_json({"a": 1}))["Size"] != "0", True, "add_json")
    # A CID that everyone knows, in the form that Kubo gives.
    known = await client.add_bytes(b"hello world\n", cid_version=0)
    same(known["Hash"], "QmT78zSuBmuS4z925WZfrqQ1qHaJ56DQaTfyMUF7F8ff5o", "the legacy profile")
    # Only hashed, so not here.
    wanted = os.urandom(2000)
    hashed = (await client.add_bytes(wanted, only_hash=True))["Hash"]
    await refused("a block that was only hashed", aioipfs.APIError, client.block.stat(hashed))
    same((await client.add_bytes(wanted))["Hash"], hashed, "the CID of only-hash")
    # Small enough to be held by its CID:.
    inline = (await client.add_bytes(b"hi", inline=True, cid_version=1))["Hash"]
    same(inline, "bafkqaatine", "inline")
    same(await client.cat(inline), b"hi", "inline content")
    long = (await client.add_bytes(b"x" * 33, inline=True, cid_version=1))["Hash"]
    same(long.startswith("bafkrei"), True, "not inline")
    await refused("trickle", aioipfs.APIError, client.add_bytes(b"hi", trickle=True))


async def graph(client, folder, root):
    """Blocks and linked data."""
    path = os.path.join(folder, "node.json")
    with open(path, "w") as file:
        file.write('{"list":[1,{"x":true}]}')
    node = (await client.dag.put(path))["Cid"]["/"]
    same(await client.dag.get(f"{node}/list/1"), '{"x":true}', "dag get")
    same((await client.dag.resolve(f"{node}/list"))["RemPath"], "list", "dag resolve")
    with open(path, "w") as file:
        file.write("{no json")
    await refused("a node that is no JSON", aioipfs.APIError, client.dag.put(path))
    archive = await client.dag.export(root)
    imported = await client.dag.car_import(archive)
    same(imported["Root"]["Cid"]["/"], root, "dag import")
    same((await gather(client.dag.stat(root)))[-1]["UniqueBlocks"] > 3, True, "dag stat")
    with open(path, "wb") as file:
        file.write(b"a block")
    block = (await client.block.put(path, cid_codec="raw", pin=False))["Key"]
    same(await client.block.get(block), b"a block", "block get")
    same((await client.block.stat(block))["Size"], 7, "block stat")
    same(await client.block.rm(block), {"Hash": block}, "block rm")
    same("Error" in await client.block.rm(block), True, "block rm of what is not here")
    same("Error" in await client.block.rm(root), True, "block rm of what is pinned")
    return node


async def pins(client, node, root):
    same((await gather(client.pin.add(node, name="first")))[-1]["Pins"], [node], "pin add")
    listed = await client.pin.ls(node, names=True)
    same(listed["Keys"][node]["Name"], "first", "pin ls")
    same((await client.pin.update(node, root))["Pins"], [node, root], "pin update")
    same(root in (await client.pin.ls(pintype="recursive"))["Keys"], True, "the new pin")
    await refused("the old pin", aioipfs.APIError, client.pin.rm(node))
    same(await client.pin.verify(), None, "pin verify names only what is broken")


async def names(client, root):
    key = await client.key.gen("second")
    same({entry["Name"] for entry in (await client.key.list())["Keys"]}, {"self", "second"}, "keys")
    published = await client.name.publish(f"/ipfs/{root}", key="second", allow_offline=True)
    same(published, {"Name": key["Id"], "Value": f"/ipfs/{root}"}, "name publish")
    same((await client.name.resolve(key["Id"]))["Path"], f"/ipfs/{root}", "name resolve")
    same((await client.key.rename("second", "third"))["Now"], "third", "key rename")
    same((await client.key.rm("third"))["Keys"][0]["Name"], "third", "key rm")


async def topics(client):
    """Publishes and hears itself, in the form that Kubo has had since 0.11."""
    # The library asks for the version to know the form.
    client._agent_version = aioipfs.IpfsDaemonVersion("0.40.0")
    heard = []

    async def listen():
        async for message in client.pubsub.sub("news/äöü"):
            heard.append(message)
            if len(heard) == 2:
                return

    listening = asyncio.create_task(listen())
    while "news/äöü" not in (await client.pubsub.ls())["Strings"]:
        await asyncio.sleep(0.05)
    await client.pubsub.pub("news/äöü", "text")
    await client.pubsub.pub("news/äöü", b"\xff\x00bytes")
    await listening
    same([message["data"] for message in heard], [b"text", b"\xff\x00bytes"], "what was heard")
    same({message["from"] for message in heard}, {(await client.id())["ID"]}, "from whom")
    same([message["topicIDs"] for message in heard], [["news/äöü"]] * 2, "of which topic")
    same(len({message["seqno"] for message in heard}), 2, "numbers")
    same(await client.pubsub.peers(), {"Strings": []}, "peers")
    # Who goes away has ended its subscription.
    while (await client.pubsub.ls())["Strings"]:
        await asyncio.sleep(0.05)


async def main(url):
    address = urllib.parse.urlparse(url)
    client = aioipfs.AsyncIPFS(maddr=f"/ip4/{address.hostname}/tcp/{address.port}")
    try:
        same((await client.id())["ID"].startswith("12D3Koo"), True, "peer id")
        same((await client.version())["Version"].count("."), 2, "version")
        with tempfile.TemporaryDirectory() as folder:
            added = await files(client, folder)
            root = added["album"]
            await options(client)
            node = await graph(client, folder, root)
            await pins(client, node, root)
            await names(client, root)
        await topics(client)
        loose = (await client.add_str("not kept", pin=False))["Hash"]
        removed = [entry["Key"]["/"] for entry in await gather(client.repo.gc())]
        same(loose in removed, True, "what repo gc names")
        same(root in removed, False, "what repo gc keeps")
        same(await client.cat(f"/ipfs/{root}/one.txt"), b"one\n", "content after a collection")
        same((await client.repo.stat())["NumObjects"] > 0, True, "repo stat")
        await refused("a CID that is none", aioipfs.APIError, client.cat("no-cid"))
        await refused("a missing name", aioipfs.APIError, client.cat(f"/ipfs/{root}/none"))
    finally:
        await client.close()
    print("ok")


asyncio.run(asyncio.wait_for(main(sys.argv[1]), 240))
