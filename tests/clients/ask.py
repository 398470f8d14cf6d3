"""Posts a pull and asks for the images, through the client that openapi-python-client makes of the document.

Prints what the server answered; the test that runs this compares it.
"""

import json
import sys
from datetime import datetime, timezone

from staticreg import Client
from staticreg.api.pages import get_badge_endpoint
from staticreg.api.registry import list_registry_repositories
from staticreg.api.statistics import list_images, list_repositories
from staticreg.api.webhook import receive_notification
from staticreg.models import Compare, EventRequest, EventTarget, Notification, RegistryEvent, Sort

client = Client(base_url=sys.argv[1], raise_on_unexpected_status=True)

event = RegistryEvent(
    id="7c0f7d52-4f3c-4a58-8d29-5a0b1b9e2a10",
    timestamp=datetime.now(timezone.utc).isoformat(),
    action="pull",
    target=EventTarget(
        media_type="application/vnd.oci.image.manifest.v1+json",
        repository="demo/python",
        tag="v1",
        digest="sha256:" + "cd" * 32,
    ),
    request=EventRequest(method="GET", useragent="demo/1", addr="192.0.2.2:40000"),
)
receipt = receive_notification.sync(client=client, body=Notification(events=[event]))
images = list_images.sync(client=client, repository=["demo/python", "demo/other"], folder="demo", days=2)
compared = list_repositories.sync(client=client, q="PYthon", days=2, compare=Compare.PREVIOUS, sort=Sort.CHANGE)
registry = list_registry_repositories.sync(client=client, folder="demo")
badge = get_badge_endpoint.sync("demo/python", client=client)
refused = list_images.sync(client=client, limit=0)

image = images.items[0]
repository = compared.items[0]
print(
    json.dumps(
        {
            "processed": receipt.events_processed,
            "image": [image.repository, image.tag, image.count],
            "cursor": images.next_cursor,
            "refused": refused.status,
            "compared": [repository.count, repository.previous, repository.change],
            "registry": registry.code,
            "badge": badge.message,
        }
    )
)
