"""What this app adds to the navigation of a workspace's pages."""

from typing import Final

from common.navigation import Destination

DESTINATIONS: Final = (
    Destination(10, "Experiments", "experiments"),
    Destination(20, "Datasets", "datasets"),
    Destination(30, "Imports", "imports"),
    Destination(35, "Models", "models"),
    Destination(40, "People", "people"),
)
