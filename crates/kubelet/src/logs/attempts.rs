//! Which numbers of instances have been given, as far as logs tell: the runtime forgets with the machine's restart.

use crate::pod_machine::Name;
use ::logs::Part;
use std::collections::BTreeMap;
use std::path::Path;

/// Of each container that has said something: the number after all of its instances'. The two last ones' logs are here
/// for as long as the pod is.
pub(crate) fn logged(pod_logs: &Path) -> BTreeMap<Name, u32> {
    let mut next = BTreeMap::new();
    let Ok(containers) = std::fs::read_dir(pod_logs) else { return next };
    for container in containers.flatten() {
        let Some(name) = container.file_name().to_str().map(Name::from) else { continue };
        let Ok(logs) = std::fs::read_dir(container.path()) else { continue };
        let said = logs.flatten().filter(|log| log.metadata().is_ok_and(|about| about.len() > 0));
        let attempts = said.filter_map(|log| Some(Part::of_log("", log.file_name().to_str()?)?.attempt));
        if let Some(last) = attempts.max() {
            next.insert(name, last + 1);
        }
    }
    next
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_greatest_number_counts() {
        let pod = tempfile::tempdir().unwrap();
        for (container, file, text) in [
            ("web", "2.log", "x"),
            ("web", "10.log.000001-x", "x"),
            ("web", "11.log", ""),
            ("web", "12.rotations", "1"),
            ("new", "0.log", ""),
        ] {
            std::fs::create_dir_all(pod.path().join(container)).unwrap();
            std::fs::write(pod.path().join(container).join(file), text).unwrap();
        }
        std::fs::write(pod.path().join("pod.json"), "{}").unwrap();
        assert_eq!(logged(pod.path()), BTreeMap::from([("web".into(), 11)]));
        assert_eq!(logged(&pod.path().join("none")), BTreeMap::new());
    }
}
