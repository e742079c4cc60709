"""Uses a running node's local API through a client library that was made for Kubo.

Usage: kubo_rpc.py API_URL. Ends with 0 when everything was as the library expects.
"""

import io
import os
import sys
import tempfile
import urllib.parse
import warnings

import ipfshttpclient

# The library names the versions of Kubo that it knows; this is another program.
warnings.simplefilter("ignore")

address = urllib.parse.urlparse(sys.argv[1])
client = ipfshttpclient.connect(
    f"/ip4/{address.hostname}/tcp/{address.port}/http", session=True, timeout=120)


def same(found, wanted, what):
    if found != wanted:
        raise SystemExit(f"{what}: found {found!r}, wanted {wanted!r}")


def refused(what, call):
    try:
        call()
    except ipfshttpclient.exceptions.ErrorResponse:
        return
    raise SystemExit(f"{what} was not refused")


identity = client.id()
same(identity["ID"].startswith("12D3Koo"), True, "peer id")
same(client.version()["Version"].count("."), 2, "version")

# Files and folders.
with tempfile.TemporaryDirectory() as folder:
    os.makedirs(os.path.join(folder, "album", "inner"))
    for name, content in [("one.txt", b"one\n"), ("inner/two.bin", os.urandom(700_000))]:
        with open(os.path.join(folder, "album", name), "wb") as file:
            file.write(content)
    added = client.add(os.path.join(folder, "album"), recursive=True)
    names = {entry["Name"]: entry["Hash"] for entry in added}
    same(
        set(names), {"album", "album/one.txt", "album/inner", "album/inner/two.bin"}, "names")
    root = names["album"]
    same(client.cat(f"/ipfs/{root}/one.txt"), b"one\n", "cat")
    same(client.cat(f"/ipfs/{root}/inner/two.bin", offset=5, length=9), content[5:14], "part")
    links = client.ls(root)["Objects"][0]["Links"]
    same([(link["Name"], link["Type"]) for link in links], [("inner", 1), ("one.txt", 2)], "ls")
    target = os.path.join(folder, "got")
    os.mkdir(target)
    client.get(root, target=target)
    with open(os.path.join(target, root, "inner", "two.bin"), "rb") as file:
        same(file.read(), content, "get")

same(client.add_bytes(b"hello"), client.add_bytes(b"hello"), "the same CID")
same(client.cat(client.add_str("text")), b"text", "add_str")
same(client.get_json(client.add_json({"a": [1, 2]})), {"a": [1, 2]}, "JSON")
# A CID that everyone knows, in the form that the library's own examples have.
known = client.add(io.BytesIO(b"hello world\n"), cid_version=0)["Hash"]
same(known, "QmT78zSuBmuS4z925WZfrqQ1qHaJ56DQaTfyMUF7F8ff5o", "the legacy profile")

# Blocks and linked data.
block = client.block.put(io.BytesIO(b"block"))["Key"]
same(client.block.get(block), b"block", "block get")
same(client.block.stat(block)["Size"], 5, "block stat")
node = client.dag.put(io.BytesIO(b'{"list":[1,{"x":true}]}'))["Cid"]["/"]
same(client.dag.get(f"{node}/list/1")["x"], True, "dag get")
archive = client.dag.export(root)
imported = client.dag.imprt(io.BytesIO(archive))
same(imported["Root"]["Cid"]["/"], root, "dag import")

# Pins.
same(client.pin.add(node)["Pins"], [node], "pin add")
same(client.pin.ls(type="recursive")["Keys"][node]["Type"], "recursive", "pin ls")
same(client.pin.rm(node)["Pins"], [node], "pin rm")
refused("a second pin rm", lambda: client.pin.rm(node))

# Keys and names.
key = client.key.gen("interop", "ed25519")
same(key["Name"], "interop", "key gen")
same(
    {entry["Name"] for entry in client.key.list()["Keys"]}, {"self", "interop"}, "key list")
published = client.name.publish(f"/ipfs/{root}", key="interop", resolve=False)
same(published["Name"], key["Id"], "name publish")
same(client.name.resolve(key["Id"])["Path"], f"/ipfs/{root}", "name resolve")
same(client.key.rename("interop", "other")["Now"], "other", "key rename")
same(client.key.rm("other")["Keys"][0]["Name"], "other", "key rm")

# The repository.
same(client.repo.stat()["NumObjects"] > 0, True, "repo stat")
same(client.resolve(f"/ipfs/{root}/one.txt")["Path"], f"/ipfs/{names['album/one.txt']}", "resolve")
client.repo.gc()
same(client.cat(f"/ipfs/{root}/one.txt"), b"one\n", "pinned content after a collection")

refused("a CID that is none", lambda: client.cat("no-cid"))
refused("a name that is not there", lambda: client.cat(f"/ipfs/{root}/missing"))
print("ok")
