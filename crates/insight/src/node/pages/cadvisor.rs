//! `/metrics/cadvisor`: every amount of every container, pod and the node, under cAdvisor's names and labels.

use crate::exposition::Exposition;
use crate::metric::{About, Kind, METRICS, Metric, Scope};
use crate::node::Published;

/// cAdvisor names an interface; a pod here has one.
const INTERFACE: &str = "eth0";

pub(in crate::node) fn page(published: &Published) -> String {
    let sample = published.sample.as_ref();
    let mut page = Exposition::default();
    for about in METRICS.iter().filter(|about| about.name.starts_with("container_")) {
        page.family(about.name, about.kind, about.help);
        if about.scopes.contains(&Scope::Pod)
            && let Some(amount) = sample.reading.get(about.metric)
        {
            row(&mut page, about, ["", "/", "", "", "", ""], amount, sample.time_ms);
        }
        // Samples are of targets in their order, but not of all.
        let mut targets = published.targets.iter();
        for pod in &sample.pods {
            let Some(target) = targets.find(|target| target.uid == pod.uid) else { break };
            let of_pod = ["", &target.cgroup, "", "", &pod.namespace, &pod.name];
            if let Some(amount) = pod.reading.get(about.metric) {
                row(&mut page, about, of_pod, amount, sample.time_ms);
            }
            for container in &pod.containers {
                let Some(amount) = container.reading.get(about.metric) else { continue };
                let id = format!("{}/{}", target.cgroup, container.id);
                let labels = [&container.name, &id, &container.image, &container.id, &pod.namespace, &pod.name];
                row(&mut page, about, labels.map(String::as_str), amount, sample.time_ms);
            }
        }
    }
    started(&mut page, published);
    if let Some(memory) = sample.reading.get(Metric::MemoryLimit) {
        page.family("machine_memory_bytes", Kind::Gauge, "Amount of memory installed on the machine.");
        page.sample("machine_memory_bytes", &[], memory as f64, 0);
    }
    if let Ok(cores) = std::thread::available_parallelism() {
        page.family("machine_cpu_cores", Kind::Gauge, "Number of logical CPU cores.");
        page.sample("machine_cpu_cores", &[], cores.get() as f64, 0);
    }
    page.finish()
}

fn started(page: &mut Exposition, published: &Published) {
    let name = "container_start_time_seconds";
    page.family(name, Kind::Gauge, "Start time of the container since unix epoch in seconds.");
    let sample = published.sample.as_ref();
    let every = sample.pods.iter().flat_map(|pod| pod.containers.iter().map(move |own| (pod, own)));
    for (pod, container) in every.filter(|(_, container)| container.started_ms > 0) {
        let labels = [("container", container.name.as_str()), ("namespace", &pod.namespace), ("pod", &pod.name)];
        page.sample(name, &labels, container.started_ms as f64 / 1000.0, sample.time_ms);
    }
}

/// `values` of container, id, image, name, namespace and pod.
fn row(page: &mut Exposition, about: &About, values: [&str; 6], amount: u64, time_ms: i64) {
    let [container, id, image, name, namespace, pod] = values;
    let mut labels = vec![("container", container), ("id", id), ("image", image)];
    if about.name.starts_with("container_network_") {
        labels.push(("interface", INTERFACE));
    }
    labels.extend([("name", name), ("namespace", namespace), ("pod", pod)]);
    page.sample(about.name, &labels, about.shown(amount), time_ms);
}

#[cfg(test)]
mod tests {
    #[test]
    fn containers_pods_and_the_node_are_told_apart() {
        let page = super::page(&super::super::tests::published());
        for line in [
            "container_cpu_usage_seconds_total{container=\"\",id=\"/\",image=\"\",name=\"\",namespace=\"\",pod=\"\"} \
             7.5 1700000010000",
            "container_memory_working_set_bytes{container=\"\",id=\"/kubepods/podu1\",image=\"\",name=\"\",\
             namespace=\"shop\",pod=\"web-0\"} 2000 1700000010000",
            "container_memory_usage_bytes{container=\"web\",id=\"/kubepods/podu1/c1\",image=\"busybox:1\",name=\"c1\",\
             namespace=\"shop\",pod=\"web-0\"} 3000 1700000010000",
            "container_network_receive_bytes_total{container=\"\",id=\"/kubepods/podu1\",image=\"\",\
             interface=\"eth0\",name=\"\",namespace=\"shop\",pod=\"web-0\"} 70 1700000010000",
            "machine_memory_bytes 1073741824",
            "container_fs_usage_bytes{container=\"web\",id=\"/kubepods/podu1/c1\",image=\"busybox:1\",name=\"c1\",\
             namespace=\"shop\",pod=\"web-0\"} 4096 1700000010000",
        ] {
            assert!(page.lines().any(|found| found == line), "{line} in {page}");
        }
    }

    #[test]
    fn what_is_not_known_is_absent() {
        let page = super::page(&crate::node::Meter::new("n1").samples().borrow());
        let samples: Vec<&str> = page.lines().filter(|line| !line.starts_with('#')).collect();
        assert!(samples.iter().all(|line| line.starts_with("machine_cpu_cores ")), "{samples:?}");
        let mut published = super::super::tests::published();
        std::sync::Arc::make_mut(&mut published.sample).pods[0].containers[0].started_ms = 0;
        assert!(!super::page(&published).contains("\ncontainer_start_time_seconds{"));
    }
}
