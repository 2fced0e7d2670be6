//! Which requests for certificates are approved without a human: those of nodes, for themselves.

use crate::authn::bootstrap_token::GROUP as BOOTSTRAPPERS;
use crate::pki::{CsrView, Signer};
use api::user::User;
use k8s_openapi::api::certificates::v1::CertificateSigningRequest;
use k8s_openapi::api::core::v1::Node;
use std::net::IpAddr;

const NODE_PREFIX: &str = "system:node:";

/// Why a request is approved: the condition's reason is `AutoApproved`, its message this.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Approval {
    /// A machine that holds a join token becomes a node.
    NodeClient,
    /// A node renews its client certificate.
    SelfNodeClient,
    /// A node serves its kubelet's API, under its own names.
    NodeServing,
}

impl Approval {
    pub fn message(self) -> &'static str {
        match self {
            Approval::NodeClient => "the requester holds a join token and asks for a node's client certificate",
            Approval::SelfNodeClient => "the node asks for its own client certificate",
            Approval::NodeServing => "the node asks for a serving certificate for its own names",
        }
    }
}

fn undecided(request: &CertificateSigningRequest) -> bool {
    let Some(status) = &request.status else { return true };
    let decided = |kind: &str| kind == "Approved" || kind == "Denied" || kind == "Failed";
    status.certificate.is_none() && !status.conditions.iter().flatten().any(|condition| decided(&condition.type_))
}

/// Whether all names of a serving certificate are the node's.
fn own_names(view: &CsrView, name: &str, node: &Node) -> bool {
    let addresses = node.status.iter().flat_map(|status| status.addresses.iter().flatten());
    let known: Vec<&str> = addresses.map(|address| address.address.as_str()).collect();
    let own_address = |address: &IpAddr| address.is_loopback() || known.contains(&address.to_string().as_str());
    let own_name = |dns: &String| dns == name || dns == "localhost" || known.contains(&dns.as_str());
    view.dns.iter().all(own_name) && view.addresses.iter().all(own_address)
}

/// Decides by the request alone, and for serving certificates by the requester's Node (if it is there already).
/// `None`: not for us to approve; a human may.
pub fn approves(request: &CertificateSigningRequest, node: Option<&Node>) -> Option<Approval> {
    if !undecided(request) {
        return None;
    }
    let spec = &request.spec;
    let signer = Signer::parse(&spec.signer_name)?;
    let view = CsrView::parse(&spec.request.0).ok()?;
    signer.check(&view, spec.usages.as_deref().unwrap_or_default()).ok()?;
    let in_group = |group: &str| spec.groups.iter().flatten().any(|own| own == group);
    let itself = in_group(User::NODES) && spec.username.as_deref() == Some(&view.common_name);
    match signer {
        Signer::Client => None,
        Signer::KubeletClient if itself => Some(Approval::SelfNodeClient),
        Signer::KubeletClient => in_group(BOOTSTRAPPERS).then_some(Approval::NodeClient),
        Signer::KubeletServing => {
            let name = view.common_name.strip_prefix(NODE_PREFIX)?;
            let node = node.filter(|node| node.metadata.name.as_deref() == Some(name))?;
            (itself && own_names(&view, name, node)).then_some(Approval::NodeServing)
        }
    }
}
