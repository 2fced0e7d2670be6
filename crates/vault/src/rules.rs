//! Which providers are whose: the first rule that names a key's resource.

use crate::chain::Chain;
use crate::kms::Kms;
use std::sync::Arc;

/// `*.*`, `*.GROUP` (`*.`: the core group), or `PLURAL.GROUP` (`PLURAL`: of the core group).
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Pattern {
    pub(crate) plural: String,
    pub(crate) group: String,
}

impl Pattern {
    pub(crate) fn parse(text: &str) -> Pattern {
        let (plural, group) = text.split_once('.').unwrap_or((text, ""));
        Pattern { plural: plural.to_owned(), group: group.to_owned() }
    }

    fn matches(&self, group: &str, plural: &str) -> bool {
        (self.group == "*" || self.group == group) && (self.plural == "*" || self.plural == plural)
    }
}

pub(crate) struct Rules {
    pub(crate) rules: Vec<(Vec<Pattern>, Arc<Chain>)>,
    pub(crate) services: Vec<Arc<Kms>>,
    pub(crate) other: Arc<Chain>,
}

impl Rules {
    /// Of a key such as `/core/secrets/default/web`. A key without the leading slash is no object's (a claim, an address
    /// that is given away): no rule means it, and no client could write it anew when keys are rotated.
    pub(crate) fn of(&self, key: &str) -> &Arc<Chain> {
        let Some(object) = key.strip_prefix('/') else { return &self.other };
        let mut parts = object.splitn(3, '/');
        let (group, plural) = (parts.next().unwrap_or_default(), parts.next().unwrap_or_default());
        let group = if group == "core" { "" } else { group };
        let found = self.rules.iter().find(|(patterns, _)| patterns.iter().any(|own| own.matches(group, plural)));
        found.map_or(&self.other, |(_, chain)| chain)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_name_kinds_groups_or_everything() {
        for (pattern, key, expected) in [
            ("secrets", "core/secrets", true),
            ("secrets", "other.example/secrets", false),
            ("*.", "core/configmaps", true),
            ("*.", "apps/deployments", false),
            ("*.apps", "apps/deployments", true),
            ("*.*", "a.b.c/d", true),
            ("pandas.awesome.bears.example", "awesome.bears.example/pandas", true),
            ("pandas.awesome.bears.example", "awesome.bears.example/bears", false),
        ] {
            let (group, plural) = key.split_once('/').unwrap();
            let group = if group == "core" { "" } else { group };
            assert_eq!(Pattern::parse(pattern).matches(group, plural), expected, "{pattern} {key}");
        }
    }

    #[test]
    fn the_first_rule_that_names_a_kind_is_its() {
        let chains: Vec<_> = (0..4).map(|_| Arc::new(Chain::identity())).collect();
        let rule = |text: &str, at: usize| (vec![Pattern::parse(text)], chains[at].clone());
        let rules =
            Rules { rules: vec![rule("secrets", 0), rule("*.", 1)], services: Vec::new(), other: chains[2].clone() };
        let all = Rules { rules: vec![rule("*.*", 3)], services: Vec::new(), other: chains[2].clone() };
        let of_all = |key: &str| chains.iter().position(|chain| Arc::ptr_eq(chain, all.of(key)));
        let of = |key: &str| chains.iter().position(|chain| Arc::ptr_eq(chain, rules.of(key)));
        assert_eq!(of("/core/secrets/a/b"), Some(0));
        assert_eq!(of("/core/pods/a/b"), Some(1));
        assert_eq!(of("/apps/deployments/a/b"), Some(2));
        assert_eq!(of_all("/apps/deployments/a/b"), Some(3));
        for beside in ["claims/server", "unique/services/10.43.0.7", "core/secrets/a/b", "odd"] {
            assert_eq!((of(beside), of_all(beside)), (Some(2), Some(2)), "{beside} is no object's");
        }
    }
}
