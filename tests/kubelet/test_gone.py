"""`kubectl delete -k`: what is left on the cluster and on the node."""

import pytest

from tests.kubelet import place
from tests.kubelet.story import Gone, Shipped

# The first test waits for all that was done before.
pytestmark = [pytest.mark.kubelet, pytest.mark.timeout(900)]


def test_no_object_is_left_of_any_resource(gone: Gone, shipped: Shipped) -> None:
    assert gone.objects == shipped.objects_before


def test_no_process_is_left(gone: Gone) -> None:
    assert gone.processes == []


def test_labels_go_when_the_feature_file_expires(gone: Gone) -> None:
    assert gone.labels == {}
    assert gone.expired_after < 75


def test_of_files_the_expired_one_and_its_folder_are_left(gone: Gone, shipped: Shipped) -> None:
    folders = [path for path in (place.FEATURES_D, *place.FEATURES_D.parents) if path.is_relative_to("/etc/kubernetes")]
    assert gone.files - shipped.files_before == {*map(str, folders), str(place.FEATURES_D / "nvtopo")}
    assert "+expiry-time=" in gone.feature_file
