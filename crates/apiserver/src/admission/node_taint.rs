//! A new node takes no pods until the controllers have seen that it is ready.

use super::{Plugin, Sources, is};
use api::{Object, Status};
use async_trait::async_trait;
use k8s_openapi::api::core::v1::{Node, Taint};
use registry::{Attempt, Operation};

const KEY: &str = "node.kubernetes.io/not-ready";
const EFFECT: &str = "NoSchedule";

pub(crate) fn make(_: &Sources<'_>) -> Box<dyn Plugin> {
    Box::new(NodeTaint)
}

struct NodeTaint;

fn taint(node: &mut Node) {
    let taints = node.spec.get_or_insert_default().taints.get_or_insert_default();
    if !taints.iter().any(|taint| taint.key == KEY && taint.effect == EFFECT) {
        taints.push(Taint { key: KEY.to_owned(), effect: EFFECT.to_owned(), ..Taint::default() });
    }
}

#[async_trait]
impl Plugin for NodeTaint {
    fn judges(&self, attempt: &Attempt<'_>) -> bool {
        is::<Node>(attempt) && attempt.operation == Operation::Create && attempt.subresource.is_none()
    }

    async fn mutate(
        &self,
        _attempt: &Attempt<'_>,
        object: &mut Box<dyn Object>,
        _old: Option<&dyn Object>,
    ) -> Result<(), Status> {
        if let Some(node) = object.downcast_mut::<Node>() {
            taint(node);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_node_is_tainted_once() {
        let mut node = Node::default();
        taint(&mut node);
        let once = node.clone();
        taint(&mut node);
        assert_eq!(node, once);
        let taints = node.spec.unwrap().taints.unwrap();
        assert_eq!(
            Vec::from_iter(taints.iter().map(|taint| (taint.key.as_str(), taint.effect.as_str()))),
            [(KEY, EFFECT)]
        );
    }
}
