//! What a plugin is: some of the questions of scheduling, each with a body that has no opinion.

use crate::cluster::Cluster;
use crate::node::NodeInfo;
use crate::pod::PodInfo;
use futures::future::BoxFuture;
use smallvec::SmallVec;
use std::any::Any;
use std::borrow::Cow;
use std::sync::Arc;

pub(crate) type Reason = Cow<'static, str>;

/// Why a node does not suit a pod.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rejection {
    /// The plugin's row.
    pub plugin: usize,
    pub reasons: SmallVec<[Reason; 1]>,
    /// Whether not even the end of other pods would help.
    pub unresolvable: bool,
}

/// A filter's no.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct No {
    pub reasons: SmallVec<[Reason; 1]>,
    pub unresolvable: bool,
}

impl No {
    pub(crate) fn because(reason: impl Into<Reason>) -> No {
        No { reasons: [reason.into()].into(), unresolvable: false }
    }

    /// Other pods' ends would not help.
    pub(crate) fn for_good(reason: impl Into<Reason>) -> No {
        No { reasons: [reason.into()].into(), unresolvable: true }
    }
}

/// Whether a plugin has something to say about this pod.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Interest {
    Asks,
    /// The filter (said by `pre_filter`) or the score (by `pre_score`) does not matter for the pod.
    Skips,
}

/// Something that happened, as unschedulable pods may hope from it.
#[derive(Clone, Copy)]
pub(crate) enum Event<'a> {
    /// A node came or changed.
    Node(&'a NodeInfo),
    /// A pod came to a node, or one on a node changed its labels.
    PodPlaced(&'a PodInfo),
    /// A pod left its node.
    PodGone(&'a PodInfo, &'a NodeInfo),
    NamespaceChanged,
}

pub(crate) const SCORE_MAX: i64 = 100;

/// One plugin. `State` is what it works out before it is asked about nodes.
pub(crate) trait Plugin: Send + Sync + 'static {
    /// Pods that are alike are decided with one state, which `pre_filter` and `pre_score` bring up to date.
    type State: Default + Send + 'static;

    /// Upstream's name.
    const NAME: &'static str;
    /// Whether filter and score depend on the pod's shape and the one node alone; they are then remembered.
    const LOCAL: bool;
    /// How much its score counts; 0: it has none.
    const WEIGHT: i64 = 0;

    /// Before the nodes are gone through.
    fn pre_filter(&self, _pod: &PodInfo, _cluster: &Cluster, _state: &mut Self::State) -> Interest {
        Interest::Asks
    }

    fn filter(&self, _pod: &PodInfo, _node: &NodeInfo, _state: &Self::State) -> Result<(), No> {
        Ok(())
    }

    /// Whether nodes are to be scored; only nodes that passed the filters are.
    fn pre_score(&self, _pod: &PodInfo, _cluster: &Cluster, _fit: &[usize], _state: &mut Self::State) -> Interest {
        if Self::WEIGHT == 0 { Interest::Skips } else { Interest::Asks }
    }

    /// Any number, if `normalize` brings it to 0..=`SCORE_MAX`.
    fn score(&self, _pod: &PodInfo, _node: &NodeInfo, _state: &Self::State) -> i64 {
        0
    }

    fn normalize(&self, _scores: &mut [i64]) {}

    /// Takes what the plugin itself hands out, before the pod is bound; a no ends the attempt.
    fn reserve(&self, _pod: &PodInfo, _node: &NodeInfo) -> Result<(), No> {
        Ok(())
    }

    /// Gives back what `reserve` took; the binding failed.
    fn unreserve(&self, _pod: &PodInfo, _node: &str) {}

    /// The last word before binding.
    fn permit(&self, _pod: &PodInfo, _node: &NodeInfo) -> Result<(), No> {
        Ok(())
    }

    /// Binds the pod; the first plugin that has a way does.
    fn bind(&self, _client: &client::Client, _pod: &Arc<PodInfo>, _node: &str) -> Option<Binding> {
        None
    }

    /// Whether the event may make a node suit a pod that this plugin refused everywhere. A local plugin need not
    /// answer: it is asked about the event's node.
    fn may_help(&self, _pod: &PodInfo, event: Event<'_>) -> bool {
        matches!(event, Event::Node(_))
    }
}

pub(crate) type Binding = BoxFuture<'static, Result<(), api::Status>>;

/// Higher raw scores to 100, in proportion; `reverse` where a high raw score is bad.
pub(crate) fn in_proportion(scores: &mut [i64], reverse: bool) {
    let most = scores.iter().copied().max().unwrap_or(0);
    for score in scores.iter_mut() {
        let share = if most == 0 { 0 } else { *score * SCORE_MAX / most };
        *score = if reverse { SCORE_MAX - share } else { share };
    }
}

/// A plugin without its state's type: a row of the table.
pub(crate) trait Row: Send + Sync {
    fn name(&self) -> &'static str;
    fn is_local(&self) -> bool;
    fn weight(&self) -> i64;
    fn new_state(&self) -> Box<dyn Any + Send>;
    fn pre_filter(&self, pod: &PodInfo, cluster: &Cluster, state: &mut dyn Any) -> Interest;
    fn filter(&self, pod: &PodInfo, node: &NodeInfo, state: &dyn Any) -> Result<(), No>;
    fn pre_score(&self, pod: &PodInfo, cluster: &Cluster, fit: &[usize], state: &mut dyn Any) -> Interest;
    fn score(&self, pod: &PodInfo, node: &NodeInfo, state: &dyn Any) -> i64;
    fn normalize(&self, scores: &mut [i64]);
    fn reserve(&self, pod: &PodInfo, node: &NodeInfo) -> Result<(), No>;
    fn unreserve(&self, pod: &PodInfo, node: &str);
    fn permit(&self, pod: &PodInfo, node: &NodeInfo) -> Result<(), No>;
    fn bind(&self, client: &client::Client, pod: &Arc<PodInfo>, node: &str) -> Option<Binding>;
    fn may_help(&self, pod: &PodInfo, event: Event<'_>) -> bool;
}

const OWN_STATE: &str = "each row is handed the state that it made";

impl<P: Plugin> Row for P {
    fn name(&self) -> &'static str {
        P::NAME
    }
    fn is_local(&self) -> bool {
        P::LOCAL
    }
    fn weight(&self) -> i64 {
        P::WEIGHT
    }
    fn new_state(&self) -> Box<dyn Any + Send> {
        Box::new(P::State::default())
    }
    fn pre_filter(&self, pod: &PodInfo, cluster: &Cluster, state: &mut dyn Any) -> Interest {
        Plugin::pre_filter(self, pod, cluster, state.downcast_mut().expect(OWN_STATE))
    }
    fn filter(&self, pod: &PodInfo, node: &NodeInfo, state: &dyn Any) -> Result<(), No> {
        Plugin::filter(self, pod, node, state.downcast_ref().expect(OWN_STATE))
    }
    fn pre_score(&self, pod: &PodInfo, cluster: &Cluster, fit: &[usize], state: &mut dyn Any) -> Interest {
        Plugin::pre_score(self, pod, cluster, fit, state.downcast_mut().expect(OWN_STATE))
    }
    fn score(&self, pod: &PodInfo, node: &NodeInfo, state: &dyn Any) -> i64 {
        Plugin::score(self, pod, node, state.downcast_ref().expect(OWN_STATE))
    }
    fn normalize(&self, scores: &mut [i64]) {
        Plugin::normalize(self, scores);
    }
    fn reserve(&self, pod: &PodInfo, node: &NodeInfo) -> Result<(), No> {
        Plugin::reserve(self, pod, node)
    }
    fn unreserve(&self, pod: &PodInfo, node: &str) {
        Plugin::unreserve(self, pod, node);
    }
    fn permit(&self, pod: &PodInfo, node: &NodeInfo) -> Result<(), No> {
        Plugin::permit(self, pod, node)
    }
    fn bind(&self, client: &client::Client, pod: &Arc<PodInfo>, node: &str) -> Option<Binding> {
        Plugin::bind(self, client, pod, node)
    }
    fn may_help(&self, pod: &PodInfo, event: Event<'_>) -> bool {
        Plugin::may_help(self, pod, event)
    }
}
