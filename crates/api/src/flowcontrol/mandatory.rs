//! The schemas and levels that a server cannot do without: `exempt`, for those who must never wait, and `catch-all`,
//! for whoever no other schema knows. Their specs are fixed.

use k8s_openapi::api::flowcontrol::v1::{
    FlowDistinguisherMethod, FlowSchemaSpec, GroupSubject, LimitResponse, LimitedPriorityLevelConfiguration,
    NonResourcePolicyRule, PolicyRulesWithSubjects, PriorityLevelConfigurationReference,
    PriorityLevelConfigurationSpec, ResourcePolicyRule, Subject,
};

pub const EXEMPT: &str = "exempt";
pub const CATCH_ALL: &str = "catch-all";

/// The spec of the mandatory schema of that name.
pub fn schema(name: &str) -> Option<FlowSchemaSpec> {
    let (precedence, method, groups): (_, _, &[&str]) = match name {
        EXEMPT => (1, None, &["system:masters"]),
        CATCH_ALL => (10_000, Some("ByUser"), &["system:unauthenticated", "system:authenticated"]),
        _ => return None,
    };
    let subject = |group: &&str| Subject {
        kind: "Group".to_owned(),
        group: Some(GroupSubject { name: (*group).to_owned() }),
        ..Subject::default()
    };
    let all = || vec!["*".to_owned()];
    let resources = ResourcePolicyRule {
        verbs: all(),
        api_groups: all(),
        resources: all(),
        namespaces: Some(all()),
        cluster_scope: Some(true),
    };
    Some(FlowSchemaSpec {
        priority_level_configuration: PriorityLevelConfigurationReference { name: name.to_owned() },
        matching_precedence: Some(precedence),
        distinguisher_method: method.map(|method: &str| FlowDistinguisherMethod { type_: method.to_owned() }),
        rules: Some(vec![PolicyRulesWithSubjects {
            subjects: groups.iter().map(subject).collect(),
            resource_rules: Some(vec![resources]),
            non_resource_rules: Some(vec![NonResourcePolicyRule { verbs: all(), non_resource_urls: all() }]),
        }]),
    })
}

/// The spec of the mandatory level of that name. What the exempt one lends is its administrator's to say.
pub fn level(name: &str) -> Option<PriorityLevelConfigurationSpec> {
    let limited = LimitedPriorityLevelConfiguration {
        nominal_concurrency_shares: Some(5),
        lendable_percent: Some(0),
        borrowing_limit_percent: None,
        limit_response: LimitResponse { type_: "Reject".to_owned(), queuing: None },
    };
    let (type_, limited) = match name {
        EXEMPT => ("Exempt", None),
        CATCH_ALL => ("Limited", Some(limited)),
        _ => return None,
    };
    Some(PriorityLevelConfigurationSpec { type_: type_.to_owned(), limited, exempt: None })
}
