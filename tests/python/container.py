"""Creates a container in an Azure blob store, by one request signed as its documentation says (Shared Key, version 2023-11-03).

`container.py ENDPOINT ACCOUNT KEY CONTAINER`; the endpoint has the account in its path, as that of an emulator.
"""

import base64
import email.utils
import hashlib
import hmac
import sys
import urllib.parse
import urllib.request

endpoint, account, key, container = sys.argv[1:]
url = f"{endpoint}/{container}"
told = {"x-ms-date": email.utils.formatdate(usegmt=True), "x-ms-version": "2023-11-03"}
headers = "".join(f"{name}:{value}\n" for name, value in sorted(told.items()))
resource = f"/{account}{urllib.parse.urlsplit(url).path}\nrestype:container"
signed = hmac.new(base64.b64decode(key), ("PUT" + "\n" * 12 + headers + resource).encode(), hashlib.sha256).digest()
told |= {"Authorization": f"SharedKey {account}:{base64.b64encode(signed).decode()}", "Content-Length": "0"}
urllib.request.urlopen(urllib.request.Request(f"{url}?restype=container", method="PUT", headers=told))
