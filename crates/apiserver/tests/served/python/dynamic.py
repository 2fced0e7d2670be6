"""The dynamic client: discovery and its cache, built-in and defined kinds, server-side apply. Arguments: kubeconfig, cache."""

import json
import os
import sys
import time

from kubernetes import config
from kubernetes.dynamic import DynamicClient
from kubernetes.dynamic.exceptions import ConflictError, NotFoundError, ResourceNotFoundError, UnprocessibleEntityError

CACHE = sys.argv[2]
api_client = config.new_client_from_config(config_file=sys.argv[1])
dynamic = DynamicClient(api_client, cache_file=CACHE)
NAMESPACE = "dynamic"
GROUP = "dynamic.example.com"


def until(what, condition):
    deadline = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < deadline, what


def discovery():
    assert os.path.exists(CACHE), "what was discovered is kept"
    deployments = dynamic.resources.get(api_version="apps/v1", kind="Deployment")
    assert (deployments.name, deployments.namespaced, "patch" in deployments.verbs) == ("deployments", True, True)
    assert set(deployments.subresources) == {"scale", "status"}, deployments.subresources
    assert dynamic.resources.get(short_names=["cm"]).kind == "ConfigMap"
    kinds = {(own.group_version, own.kind) for own in dynamic.resources.search()}
    assert {("v1", "Pod"), ("batch/v1", "Job"), ("autoscaling/v1", "HorizontalPodAutoscaler")} <= kinds, kinds
    assert dynamic.version["kubernetes"]["gitVersion"].startswith("v1.37."), dynamic.version
    # A second client reads the cache of the first.
    again = DynamicClient(api_client, cache_file=CACHE)
    assert again.resources.get(api_version="v1", kind="Secret").name == "secrets"


def built_in_kinds():
    namespaces = dynamic.resources.get(api_version="v1", kind="Namespace")
    namespaces.create(body={"metadata": {"name": NAMESPACE}})
    maps = dynamic.resources.get(api_version="v1", kind="ConfigMap")
    made = maps.create(body={"metadata": {"name": "m"}, "data": {"k": "1"}}, namespace=NAMESPACE)
    assert (made.kind, made.apiVersion, made.data.k) == ("ConfigMap", "v1", "1")
    patched = maps.patch(name="m", namespace=NAMESPACE, body={"data": {"l": "2"}}, content_type="application/merge-patch+json")
    assert patched.data.to_dict() == {"k": "1", "l": "2"}
    body = patched.to_dict()
    body["data"] = {"z": "9"}
    assert maps.replace(body=body, namespace=NAMESPACE).data.to_dict() == {"z": "9"}
    try:
        maps.replace(body=body, namespace=NAMESPACE)
        raise AssertionError("a stale version")
    except ConflictError as error:
        assert error.status == 409 and "the object has been modified" in error.summary(), error.summary()
    events = []
    for event in maps.watch(namespace=NAMESPACE, name="m", resource_version=made.metadata.resourceVersion, timeout=5):
        events.append((event["type"], event["object"].data.to_dict()))
        if len(events) == 2:
            break
    assert events == [("MODIFIED", {"k": "1", "l": "2"}), ("MODIFIED", {"z": "9"})], events
    first = []
    stream = maps.watch(namespace=NAMESPACE, send_initial_events=True, resource_version_match="NotOlderThan",
                        allow_watch_bookmarks=True, timeout=5)
    for event in stream:
        first.append(event["type"])
        if event["type"] == "BOOKMARK":
            assert event["raw_object"]["metadata"]["annotations"] == {"k8s.io/initial-events-end": "true"}
            break
    assert first == ["ADDED", "BOOKMARK"], first
    table = maps.get(namespace=NAMESPACE, header_params={"Accept": "application/json;as=Table;v=v1;g=meta.k8s.io"}, serialize=False)
    table = json.loads(table.data)
    assert [own["name"] for own in table["columnDefinitions"]] == ["Name", "Data", "Age"]
    assert table["rows"][0]["cells"][:2] == ["m", 1]
    maps.delete(name="m", namespace=NAMESPACE)
    try:
        maps.get(name="m", namespace=NAMESPACE)
        raise AssertionError("deleted")
    except NotFoundError as error:
        assert error.summary().endswith('configmaps "m" not found'), error.summary()


def applies():
    maps = dynamic.resources.get(api_version="v1", kind="ConfigMap")
    intent = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a"}, "data": {"x": "1"}}
    made = maps.server_side_apply(namespace=NAMESPACE, body=intent, field_manager="one")
    assert [own.manager for own in made.metadata.managedFields] == ["one"]
    other = {**intent, "data": {"x": "2"}}
    try:
        maps.server_side_apply(namespace=NAMESPACE, body=other, field_manager="two")
        raise AssertionError("a conflict")
    except ConflictError as error:
        assert 'conflict with "one": .data.x' in error.summary(), error.summary()
    forced = maps.server_side_apply(namespace=NAMESPACE, body=other, field_manager="two", force_conflicts=True)
    assert forced.data.x == "2"


def definition(properties):
    schema = {"type": "object", "properties": {"spec": {"type": "object", "properties": properties},
                                               "status": {"type": "object", "x-kubernetes-preserve-unknown-fields": True}}}
    version = {"name": "v1", "served": True, "storage": True, "schema": {"openAPIV3Schema": schema},
               "subresources": {"status": {}, "scale": {"specReplicasPath": ".spec.replicas", "statusReplicasPath": ".status.replicas"}},
               "additionalPrinterColumns": [{"name": "Size", "type": "integer", "jsonPath": ".spec.size"}]}
    names = {"plural": "games", "singular": "game", "kind": "Game", "shortNames": ["gm"]}
    return {"apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
            "metadata": {"name": f"games.{GROUP}"},
            "spec": {"group": GROUP, "scope": "Namespaced", "names": names, "versions": [version]}}


def defined_kinds():
    definitions = dynamic.resources.get(api_version="apiextensions.k8s.io/v1", kind="CustomResourceDefinition")
    integer = {"type": "integer"}
    definitions.create(body=definition({"size": {**integer, "maximum": 9}, "replicas": integer}))

    def found():
        try:
            return dynamic.resources.get(api_version=f"{GROUP}/v1", kind="Game")
        except ResourceNotFoundError:
            dynamic.resources.invalidate_cache()
            return None

    until("the kind is discovered", found)
    games = found()
    assert (games.name, games.short_names) == ("games", ["gm"])
    body = {"apiVersion": f"{GROUP}/v1", "kind": "Game", "metadata": {"name": "g"}, "spec": {"size": 3, "replicas": 1}}
    made = games.create(body=body, namespace=NAMESPACE)
    assert made.spec.size == 3
    try:
        games.patch(name="g", namespace=NAMESPACE, body={"spec": {"size": 10}}, content_type="application/merge-patch+json")
        raise AssertionError("too large")
    except UnprocessibleEntityError as error:
        assert "should be less than or equal to 9" in error.summary(), error.summary()
    status = games.status.patch(name="g", namespace=NAMESPACE, body={"status": {"replicas": 1}}, content_type="application/merge-patch+json")
    assert (status.status.replicas, status.metadata.generation) == (1, 1)
    scale = games.scale.get(name="g", namespace=NAMESPACE)
    assert (scale.kind, scale.spec.replicas, scale.status.replicas) == ("Scale", 1, 1)
    applied = games.server_side_apply(namespace=NAMESPACE, body={**body, "spec": {"size": 4}}, field_manager="apply", force_conflicts=True)
    assert (applied.spec.size, applied.spec.replicas) == (4, 1)
    listed = games.get(namespace=NAMESPACE)
    assert (listed.kind, [own.metadata.name for own in listed.items]) == ("GameList", ["g"])
    definitions.delete(name=f"games.{GROUP}")

    def gone():
        dynamic.resources.invalidate_cache()
        return not dynamic.resources.search(api_version=f"{GROUP}/v1", kind="Game")

    until("the kind goes", gone)


for area in (discovery, built_in_kinds, applies, defined_kinds):
    area()
    print(area.__name__)
