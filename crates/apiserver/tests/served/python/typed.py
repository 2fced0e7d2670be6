"""The typed APIs: create, read, list, patch, replace, watch, delete, and what they raise. Argument: kubeconfig."""

import datetime
import json
import sys
import threading

from kubernetes import client, config, watch
from kubernetes.client.exceptions import ApiException
from kubernetes.informer import SharedInformer

config.load_kube_config(config_file=sys.argv[1])
core, apps, batch = client.CoreV1Api(), client.AppsV1Api(), client.BatchV1Api()
rbac, custom, extensions = client.RbacAuthorizationV1Api(), client.CustomObjectsApi(), client.ApiextensionsV1Api()
NAMESPACE = "python"
SELECTOR = client.V1LabelSelector(match_labels={"app": "web"})


def meta(name, **more):
    return client.V1ObjectMeta(name=name, **more)


def template(**more):
    container = client.V1Container(
        name="c",
        image="registry.local/web:1",
        ports=[client.V1ContainerPort(container_port=80)],
        resources=client.V1ResourceRequirements(requests={"cpu": "100m", "memory": "64Mi"}),
    )
    spec = client.V1PodSpec(containers=[container], **more)
    return client.V1PodTemplateSpec(metadata=client.V1ObjectMeta(labels={"app": "web"}), spec=spec)


def refuses(status, reason, call, *arguments, **named):
    """The error that a call raises, as its parsed body."""
    try:
        call(*arguments, **named)
    except ApiException as error:
        assert error.status == status, (error.status, error.body)
        body = json.loads(error.body)
        assert (body["kind"], body["code"], body["reason"]) == ("Status", status, reason), body
        return body
    raise AssertionError(f"{call.__name__} was not refused")


def core_objects():
    space = core.create_namespace(client.V1Namespace(metadata=meta(NAMESPACE)))
    assert space.status.phase == "Active" and isinstance(space.metadata.creation_timestamp, datetime.datetime)
    core.create_namespaced_service_account(NAMESPACE, client.V1ServiceAccount(metadata=meta("default")))
    made = core.create_namespaced_config_map(
        NAMESPACE, client.V1ConfigMap(metadata=meta("m", labels={"app": "x"}), data={"k": "1"}, binary_data={"b": "AQI="})
    )
    assert (made.data, made.binary_data) == ({"k": "1"}, {"b": "AQI="})
    patched = core.patch_namespaced_config_map("m", NAMESPACE, {"data": {"k": "2", "l": "3"}})
    assert patched.data == {"k": "2", "l": "3"}
    json_patch = core.patch_namespaced_config_map("m", NAMESPACE, [{"op": "remove", "path": "/data/l"}])
    assert json_patch.data == {"k": "2"}
    patched.data["k"] = "late"
    refuses(409, "Conflict", core.replace_namespaced_config_map, "m", NAMESPACE, patched)
    json_patch.data["k"] = "4"
    assert core.replace_namespaced_config_map("m", NAMESPACE, json_patch).data == {"k": "4"}
    secret = core.create_namespaced_secret(NAMESPACE, client.V1Secret(metadata=meta("s"), string_data={"p": "w"}))
    assert (secret.data, secret.type) == ({"p": "dw=="}, "Opaque")
    pod = core.create_namespaced_pod(NAMESPACE, client.V1Pod(metadata=meta("p", labels={"app": "web"}), spec=template().spec))
    assert (pod.status.phase, pod.status.qos_class, pod.spec.restart_policy) == ("Pending", "Burstable", "Always")
    condition = client.V1PodCondition(type="example.com/seen", status="True")
    seen = core.patch_namespaced_pod_status("p", NAMESPACE, {"status": {"conditions": [condition.to_dict()]}})
    assert "example.com/seen" in [own.type for own in seen.status.conditions]
    service = client.V1ServiceSpec(selector={"app": "web"}, ports=[client.V1ServicePort(port=80, target_port="http")])
    service = core.create_namespaced_service(NAMESPACE, client.V1Service(metadata=meta("web"), spec=service))
    assert service.spec.cluster_ip.startswith("10.43.") and service.spec.ports[0].target_port == "http"
    assert core.read_namespaced_pod("p", NAMESPACE).metadata.uid == pod.metadata.uid
    assert [own.metadata.name for own in core.list_pod_for_all_namespaces(label_selector="app in (web)").items] == ["p"]
    assert core.list_namespaced_pod(NAMESPACE, field_selector="status.phase=Running").items == []
    dry = core.create_namespaced_config_map(NAMESPACE, client.V1ConfigMap(metadata=meta("dry")), dry_run="All")
    assert dry.metadata.uid
    refuses(404, "NotFound", core.read_namespaced_config_map, "dry", NAMESPACE)


def pages():
    for index in range(7):
        core.create_namespaced_config_map(NAMESPACE, client.V1ConfigMap(metadata=meta(f"page-{index}", labels={"page": "1"})))
    names, token = [], None
    while token != "":
        page = core.list_namespaced_config_map(NAMESPACE, label_selector="page", limit=3, _continue=token)
        names += [own.metadata.name for own in page.items]
        token = page.metadata._continue or ""
    assert names == [f"page-{index}" for index in range(7)], names
    gone = core.delete_collection_namespaced_config_map(NAMESPACE, label_selector="page")
    assert gone.status in ("Success", None), gone
    assert core.list_namespaced_config_map(NAMESPACE, label_selector="page").items == []


def app_objects():
    spec = client.V1DeploymentSpec(replicas=2, selector=SELECTOR, template=template())
    made = apps.create_namespaced_deployment(NAMESPACE, client.V1Deployment(metadata=meta("web"), spec=spec))
    assert (made.metadata.generation, made.spec.strategy.type, made.spec.revision_history_limit) == (1, "RollingUpdate", 10)
    patch = {"spec": {"template": {"spec": {"containers": [{"name": "c", "image": "registry.local/web:2"}]}}}}
    patched = apps.patch_namespaced_deployment("web", NAMESPACE, patch)
    container = patched.spec.template.spec.containers[0]
    assert (container.image, container.ports[0].container_port) == ("registry.local/web:2", 80), "a strategic merge"
    scale = apps.read_namespaced_deployment_scale("web", NAMESPACE)
    scale.spec.replicas = 5
    assert apps.replace_namespaced_deployment_scale("web", NAMESPACE, scale).spec.replicas == 5
    assert apps.read_namespaced_deployment("web", NAMESPACE).spec.replicas == 5
    status = apps.patch_namespaced_deployment_status("web", NAMESPACE, {"status": {"replicas": 5, "observedGeneration": 3}})
    assert (status.status.replicas, status.spec.replicas) == (5, 5)
    moved = {"spec": {"selector": {"matchLabels": {"app": "other"}}}}
    bad = refuses(422, "Invalid", apps.patch_namespaced_deployment, "web", NAMESPACE, moved)
    assert "spec.selector" in [cause["field"] for cause in bad["details"]["causes"]], bad
    stateful = client.V1StatefulSetSpec(service_name="web", selector=SELECTOR, template=template())
    stateful = apps.create_namespaced_stateful_set(NAMESPACE, client.V1StatefulSet(metadata=meta("s"), spec=stateful))
    assert stateful.spec.pod_management_policy == "OrderedReady"
    daemon = client.V1DaemonSetSpec(selector=SELECTOR, template=template())
    daemon = apps.create_namespaced_daemon_set(NAMESPACE, client.V1DaemonSet(metadata=meta("d"), spec=daemon))
    assert daemon.spec.update_strategy.rolling_update.max_unavailable == 1
    gone = apps.delete_namespaced_deployment("web", NAMESPACE, propagation_policy="Background")
    status = gone["status"] if isinstance(gone, dict) else gone.status
    assert status == "Success", gone


def batch_objects():
    spec = client.V1JobSpec(template=template(restart_policy="Never"), completions=2)
    job = batch.create_namespaced_job(NAMESPACE, client.V1Job(metadata=client.V1ObjectMeta(generate_name="j-"), spec=spec))
    assert (job.spec.parallelism, job.spec.backoff_limit, job.spec.completion_mode) == (1, 6, "NonIndexed")
    name = job.metadata.name
    assert name.startswith("j-") and len(name) == 7
    assert job.spec.selector.match_labels["batch.kubernetes.io/controller-uid"] == job.metadata.uid
    cron = client.V1CronJobSpec(schedule="*/5 * * * *", job_template=client.V1JobTemplateSpec(spec=spec))
    cron = batch.create_namespaced_cron_job(NAMESPACE, client.V1CronJob(metadata=meta("c"), spec=cron))
    assert (cron.spec.concurrency_policy, cron.spec.suspend) == ("Allow", False)
    assert batch.patch_namespaced_cron_job("c", NAMESPACE, {"spec": {"suspend": True}}).spec.suspend is True
    wrong = client.V1CronJobSpec(schedule="never", job_template=client.V1JobTemplateSpec(spec=spec))
    wrong = client.V1CronJob(metadata=meta("w"), spec=wrong)
    assert "spec.schedule" in refuses(422, "Invalid", batch.create_namespaced_cron_job, NAMESPACE, wrong)["message"]


def access_objects():
    rule = client.V1PolicyRule(api_groups=[""], resources=["configmaps"], verbs=["get"])
    rbac.create_namespaced_role(NAMESPACE, client.V1Role(metadata=meta("reader"), rules=[rule]))
    binding = client.V1RoleBinding(
        metadata=meta("reads"),
        role_ref=client.V1RoleRef(api_group="rbac.authorization.k8s.io", kind="Role", name="reader"),
        subjects=[client.RbacV1Subject(kind="ServiceAccount", name="default", namespace=NAMESPACE)],
    )
    rbac.create_namespaced_role_binding(NAMESPACE, binding)
    request = client.AuthenticationV1TokenRequest(spec=client.V1TokenRequestSpec(audiences=[], expiration_seconds=600))
    token = core.create_namespaced_service_account_token("default", NAMESPACE, request)
    assert token.status.expiration_timestamp > datetime.datetime.now(datetime.timezone.utc)
    account = client.Configuration.get_default_copy()
    account.cert_file = account.key_file = None
    account.api_key = {"authorization": f"Bearer {token.status.token}"}
    limited = client.CoreV1Api(client.ApiClient(account))
    access = client.V1SelfSubjectAccessReview(
        spec=client.V1SelfSubjectAccessReviewSpec(
            resource_attributes=client.V1ResourceAttributes(verb="get", resource="configmaps", namespace=NAMESPACE)
        )
    )
    review = client.AuthorizationV1Api(limited.api_client)
    # The authorizer follows bindings: it has this one soon.
    while not review.create_self_subject_access_review(access).status.allowed:
        pass
    assert limited.read_namespaced_config_map("m", NAMESPACE).data == {"k": "4"}
    body = refuses(403, "Forbidden", limited.list_namespaced_config_map, NAMESPACE)
    wanted = f'User "system:serviceaccount:{NAMESPACE}:default" cannot list resource "configmaps" in API group "" in the namespace "{NAMESPACE}"'
    assert body["message"] == f"configmaps is forbidden: {wanted}", body
    account.api_key = {"authorization": "Bearer nonsense"}
    refuses(401, "Unauthorized", client.CoreV1Api(client.ApiClient(account)).list_namespace)


def defined_objects():
    schema = client.V1JSONSchemaProps(
        type="object",
        properties={"spec": client.V1JSONSchemaProps(type="object", properties={"size": client.V1JSONSchemaProps(type="integer")})},
    )
    version = client.V1CustomResourceDefinitionVersion(
        name="v1", served=True, storage=True, schema=client.V1CustomResourceValidation(open_apiv3_schema=schema),
        subresources=client.V1CustomResourceSubresources(status={}),
    )
    names = client.V1CustomResourceDefinitionNames(plural="toys", kind="Toy")
    spec = client.V1CustomResourceDefinitionSpec(group="python.example.com", scope="Namespaced", names=names, versions=[version])
    definition = client.V1CustomResourceDefinition(metadata=meta("toys.python.example.com"), spec=spec)
    extensions.create_custom_resource_definition(definition)
    for event in watch.Watch().stream(extensions.list_custom_resource_definition, timeout_seconds=20):
        own = event["object"]
        ready = [own.type for own in (own.status.conditions or []) if own.status == "True"] if own.status else []
        if own.metadata.name == "toys.python.example.com" and "Established" in ready:
            break
    else:
        raise AssertionError("not established")
    where = ("python.example.com", "v1", NAMESPACE, "toys")
    toy = {"apiVersion": "python.example.com/v1", "kind": "Toy", "metadata": {"name": "t"}, "spec": {"size": 1}}
    assert custom.create_namespaced_custom_object(*where, toy)["metadata"]["generation"] == 1
    assert custom.patch_namespaced_custom_object(*where, "t", {"spec": {"size": 2}})["spec"] == {"size": 2}
    assert custom.get_namespaced_custom_object(*where, "t")["spec"] == {"size": 2}
    assert len(custom.list_cluster_custom_object("python.example.com", "v1", "toys")["items"]) == 1
    wrong = refuses(422, "Invalid", custom.patch_namespaced_custom_object, *where, "t", {"spec": {"size": "large"}})
    assert "spec.size in body must be of type integer" in wrong["message"], wrong
    assert custom.delete_namespaced_custom_object(*where, "t")["status"] == "Success"
    extensions.delete_custom_resource_definition("toys.python.example.com")


def watches():
    listed = core.list_namespaced_config_map(NAMESPACE)
    events, own = [], watch.Watch()
    core.create_namespaced_config_map(NAMESPACE, client.V1ConfigMap(metadata=meta("w", labels={"watch": "1"})))
    core.patch_namespaced_config_map("w", NAMESPACE, {"data": {"k": "1"}})
    core.delete_namespaced_config_map("w", NAMESPACE)
    since = listed.metadata.resource_version
    for event in own.stream(core.list_namespaced_config_map, NAMESPACE, label_selector="watch", resource_version=since):
        events.append((event["type"], event["object"].data))
        if event["type"] == "DELETED":
            own.stop()
    assert events == [("ADDED", None), ("MODIFIED", {"k": "1"}), ("DELETED", {"k": "1"})], events
    began = datetime.datetime.now()
    assert list(watch.Watch().stream(core.list_namespaced_config_map, NAMESPACE, label_selector="none", timeout_seconds=1)) == []
    assert datetime.datetime.now() - began < datetime.timedelta(seconds=10)
    # A version of the future is waited for and then refused.
    refuses(504, "Timeout", core.list_namespaced_config_map, NAMESPACE, resource_version="999999999", resource_version_match="NotOlderThan")
    bad = refuses(400, "BadRequest", core.list_namespaced_config_map, NAMESPACE, label_selector="a in b c")
    assert "unable to parse requirement" in bad["message"], bad
    refuses(400, "BadRequest", core.list_namespaced_config_map, NAMESPACE, field_selector="data.k=1")
    refuses(400, "BadRequest", core.list_namespaced_config_map, NAMESPACE, limit=1, _continue="bm90aGluZw==")


def informers():
    seen, changed = threading.Event(), threading.Event()
    informer = SharedInformer(core.list_namespaced_config_map, namespace=NAMESPACE)
    informer.add_event_handler("ADDED", lambda own: own.metadata.name == "i" and seen.set())
    informer.add_event_handler("MODIFIED", lambda own: own.metadata.name == "i" and changed.set())
    informer.start()
    core.create_namespaced_config_map(NAMESPACE, client.V1ConfigMap(metadata=meta("i")))
    assert seen.wait(20), "added"
    core.patch_namespaced_config_map("i", NAMESPACE, {"data": {"k": "1"}})
    assert changed.wait(20), "modified"
    assert informer.cache.get_by_key(f"{NAMESPACE}/i").data == {"k": "1"}
    informer.stop()


def refusals():
    body = refuses(422, "Invalid", core.create_namespaced_config_map, NAMESPACE, client.V1ConfigMap(metadata=meta("Upper_Case")))
    assert body["details"]["causes"][0]["field"] == "metadata.name", body
    again = refuses(409, "AlreadyExists", core.create_namespaced_config_map, NAMESPACE, client.V1ConfigMap(metadata=meta("m")))
    assert again["message"] == 'configmaps "m" already exists', again
    missing = refuses(404, "NotFound", core.create_namespaced_config_map, "nowhere", client.V1ConfigMap(metadata=meta("m")))
    assert missing["message"] == 'namespaces "nowhere" not found', missing
    options = client.V1DeleteOptions(preconditions=client.V1Preconditions(uid="other"))
    refuses(409, "Conflict", core.delete_namespaced_config_map, "m", NAMESPACE, body=options)


for area in (core_objects, pages, app_objects, batch_objects, access_objects, defined_objects, watches, informers, refusals):
    area()
    print(area.__name__)
