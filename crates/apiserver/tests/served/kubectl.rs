//! The real kubectl as the judge.

use crate::cluster::Cluster;

const DEPLOYMENT: &str = "
apiVersion: apps/v1
kind: Deployment
metadata: {name: web}
spec:
  replicas: 2
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec:
      containers: [{name: c, image: 'nginx:1', ports: [{containerPort: 80}]}]
";

/// Runs kubectl; it must succeed and say each of these.
async fn check(cluster: &Cluster, arguments: &[&str], input: &str, says: &[&str]) -> bool {
    let Some((ok, text)) = cluster.kubectl(arguments, input).await else { return false };
    assert!(ok, "kubectl {arguments:?}: {text}");
    for part in says {
        assert!(text.contains(part), "kubectl {arguments:?} does not say {part:?}: {text}");
    }
    true
}

#[tokio::test(flavor = "multi_thread")]
async fn kubectl_finds_its_way() {
    let cluster = Cluster::start().await;
    if !check(&cluster, &["version"], "", &["Server Version: v1.37.0+sampan"]).await {
        return;
    }
    let resources = ["deployments", "deploy", "apps/v1", "Deployment", "networkpolicies", "netpol"];
    check(&cluster, &["api-resources", "-o", "wide"], "", &resources).await;
    check(&cluster, &["api-versions"], "", &["rbac.authorization.k8s.io/v1"]).await;
    check(&cluster, &["explain", "pod.spec.containers.livenessProbe"], "", &["FIELD: livenessProbe <Probe>"]).await;
    check(&cluster, &["get", "namespaces"], "", &["NAME", "STATUS", "kube-system", "Active"]).await;
    check(&cluster, &["get", "--raw", "/readyz?verbose"], "", &["readyz check passed"]).await;
    check(&cluster, &["auth", "can-i", "delete", "pods"], "", &["yes"]).await;
    check(&cluster, &["auth", "whoami"], "", &["kubernetes-admin"]).await;
    check(&cluster, &["cluster-info"], "", &["Kubernetes control plane", "is running at"]).await;
    cluster.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn kubectl_manages_a_deployment() {
    let cluster = Cluster::start().await;
    if !check(&cluster, &["apply", "-f", "-"], DEPLOYMENT, &["deployment.apps/web created"]).await {
        return;
    }
    check(&cluster, &["apply", "-f", "-"], DEPLOYMENT, &["deployment.apps/web unchanged"]).await;
    let changed = DEPLOYMENT.replace("nginx:1", "nginx:2");
    check(&cluster, &["diff", "-f", "-"], DEPLOYMENT, &[]).await;
    check(&cluster, &["apply", "--validate=strict", "-f", "-"], &changed, &["deployment.apps/web configured"]).await;
    check(&cluster, &["get", "deploy", "-o", "wide"], "", &["NAME", "READY", "0/2", "nginx:2", "app=web"]).await;
    check(&cluster, &["scale", "deploy/web", "--replicas=5"], "", &["scaled"]).await;
    check(&cluster, &["set", "image", "deploy/web", "c=nginx:3"], "", &["image updated"]).await;
    check(&cluster, &["label", "deploy", "web", "tier=front"], "", &["labeled"]).await;
    check(&cluster, &["annotate", "deploy", "web", "note=x"], "", &["annotated"]).await;
    let jsonpath = ["get", "deploy", "web", "-o", "jsonpath={.spec.replicas}/{.metadata.labels.tier}"];
    check(&cluster, &jsonpath, "", &["5/front"]).await;
    check(&cluster, &["patch", "deploy", "web", "-p", "{\"spec\":{\"paused\":true}}"], "", &["patched"]).await;
    check(&cluster, &["rollout", "resume", "deploy/web"], "", &["resumed"]).await;
    check(&cluster, &["expose", "deploy/web", "--port=80"], "", &["service/web exposed"]).await;
    check(&cluster, &["get", "svc", "web"], "", &["ClusterIP", "10.43.", "80/TCP"]).await;
    check(&cluster, &["describe", "deploy", "web"], "", &["RollingUpdateStrategy", "nginx:3"]).await;
    check(&cluster, &["get", "all"], "", &["deployment.apps/web", "service/web"]).await;
    check(&cluster, &["delete", "deploy", "web"], "", &["deleted"]).await;
    let Some((ok, text)) = cluster.kubectl(&["get", "deploy", "web"], "").await else { return };
    assert!(!ok && text.contains("Error from server (NotFound): deployments.apps \"web\" not found"), "{text}");
    cluster.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn kubectl_creates_and_replaces() {
    let cluster = Cluster::start().await;
    let create = ["create", "configmap", "c", "--from-literal=k=1"];
    if !check(&cluster, &create, "", &["configmap/c created"]).await {
        return;
    }
    let replacement = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: c}\ndata: {k: '2'}\n";
    check(&cluster, &["replace", "-f", "-"], replacement, &["configmap/c replaced"]).await;
    check(&cluster, &["get", "cm", "c", "-o", "yaml"], "", &["k: \"2\"", "kind: ConfigMap"]).await;
    let unknown = replacement.replace("\ndata:", "\ndate:");
    let Some((ok, text)) = cluster.kubectl(&["apply", "-f", "-"], &unknown).await else { return };
    assert!(!ok && text.contains("unknown field \"date\""), "{text}");
    check(&cluster, &["create", "namespace", "team"], "", &["namespace/team created"]).await;
    let secret = ["-n", "team", "create", "secret", "generic", "s", "--from-literal=p=w"];
    check(&cluster, &secret, "", &["secret/s created"]).await;
    check(&cluster, &["get", "secrets", "-A"], "", &["team", "Opaque"]).await;
    let columns = ["get", "cm", "-A", "-o", "custom-columns=N:.metadata.name,K:.data.k", "--sort-by=.metadata.name"];
    check(&cluster, &columns, "", &["c "]).await;
    check(&cluster, &["delete", "cm", "--all"], "", &["configmap \"c\" deleted"]).await;
    check(&cluster, &["get", "cm", "--chunk-size=1", "-A"], "", &["cluster-info"]).await;
    cluster.shutdown().await;
}
