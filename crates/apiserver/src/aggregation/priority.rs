//! In which order clients are told of groups and versions.

/// A group's place among groups, and a version's in its group; higher comes first.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Priority {
    pub(crate) group: i32,
    pub(crate) version: i32,
}

/// Upstream's, of the group versions that it registers. Registering itself would be a circle: that one is only ordered.
const BUILTIN: &[(&str, &str, i32, i32)] = &[
    ("", "v1", 18_000, 1),
    ("apps", "v1", 17_800, 15),
    ("events.k8s.io", "v1", 17_750, 15),
    ("authentication.k8s.io", "v1", 17_700, 15),
    ("authorization.k8s.io", "v1", 17_600, 15),
    ("autoscaling", "v2", 17_500, 30),
    ("autoscaling", "v1", 17_500, 15),
    ("batch", "v1", 17_400, 15),
    ("certificates.k8s.io", "v1", 17_300, 15),
    ("networking.k8s.io", "v1", 17_200, 15),
    ("policy", "v1", 17_100, 15),
    ("rbac.authorization.k8s.io", "v1", 17_000, 15),
    ("storage.k8s.io", "v1", 16_800, 15),
    ("admissionregistration.k8s.io", "v1", 16_700, 15),
    ("apiextensions.k8s.io", "v1", 16_700, 15),
    ("scheduling.k8s.io", "v1", 16_600, 15),
    ("coordination.k8s.io", "v1", 16_500, 15),
    ("coordination.k8s.io", "v1beta1", 16_500, 13),
    ("node.k8s.io", "v1", 16_300, 15),
    ("discovery.k8s.io", "v1", 16_200, 15),
    ("resource.k8s.io", "v1", 16_200, 20),
    ("flowcontrol.apiserver.k8s.io", "v1", 16_100, 21),
    ("storagemigration.k8s.io", "v1", 15_800, 15),
    // As metrics-server registers it.
    ("metrics.k8s.io", "v1beta1", 100, 100),
];
const OF_ITSELF: (&str, Priority) = ("apiregistration.k8s.io", Priority { group: 20_000, version: 1_000 });
/// Of a built-in group that the table does not have: behind all that it has, as upstream places its new ones.
const NEW_GROUP: i32 = 15_700;
/// Of a built-in version that the table does not have, as upstream places its new ones: behind the stable one.
const NEW_VERSION: i32 = 9;

impl Priority {
    /// Of custom kinds: their versions are ordered by their names.
    pub(crate) const CUSTOM: Priority = Priority { group: 1_000, version: 100 };

    /// What a group version has that no APIService speaks of.
    pub(crate) fn unregistered(group: &str, version: &str) -> Priority {
        match Priority::known(group, version) {
            Some(priority) => priority,
            None if group == OF_ITSELF.0 => OF_ITSELF.1,
            None => Priority::CUSTOM,
        }
    }

    /// What a group version of this server's own kinds is registered with; `None`: not at all.
    pub(super) fn of_builtin(group: &str, version: &str) -> Option<Priority> {
        let new = Priority { group: NEW_GROUP, version: NEW_VERSION };
        (group != OF_ITSELF.0).then(|| Priority::known(group, version).unwrap_or(new))
    }

    /// Of a group that is in the table.
    fn known(group: &str, version: &str) -> Option<Priority> {
        let mut rows = BUILTIN.iter().filter(|(own, ..)| *own == group);
        let own = rows.clone().find(|(_, own, ..)| *own == version);
        let version = own.map_or(NEW_VERSION, |(.., place)| *place);
        own.or_else(|| rows.next()).map(|(_, _, group, _)| Priority { group: *group, version })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_kind_needs_no_row_here_to_have_its_place() {
        let place = |group, version| Priority::of_builtin(group, version).map(|own| (own.group, own.version));
        assert_eq!(place("autoscaling", "v1"), Some((17_500, 15)));
        assert_eq!(place("coordination.k8s.io", "v1beta1"), Some((16_500, 13)));
        assert_eq!(place("node.k8s.io", "v2alpha1"), Some((16_300, NEW_VERSION)));
        assert_eq!(place("new.k8s.io", "v1"), Some((NEW_GROUP, NEW_VERSION)));
        assert_eq!(place("apiregistration.k8s.io", "v1"), None);
        assert_eq!(Priority::unregistered("example.com", "v1"), Priority::CUSTOM);
    }

    #[test]
    fn the_table_is_of_kinds_that_are_there_or_come() {
        for (group, ..) in BUILTIN {
            assert!(api::object::builtin().iter().any(|row| row.def().group == *group), "{group} is nobody's");
        }
    }
}
