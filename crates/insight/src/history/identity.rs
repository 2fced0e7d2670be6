//! Whose rows they are.

use crate::metric::Scope;
use crate::sample::PodSample;
use crate::varint;

/// Names are at most 253 bytes: a slot's head has room for all of them.
const TEXT_BYTES_MAX: usize = 253;

/// A container, pod or node; what does not apply is empty.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Identity {
    pub scope: Scope,
    pub node: String,
    pub namespace: String,
    pub pod: String,
    pub uid: String,
    pub container: String,
}

/// The text as far as a slot's head has room for it.
fn cut(text: &str) -> String {
    let mut end = text.len().min(TEXT_BYTES_MAX);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    text[..end].to_owned()
}

impl Identity {
    pub(crate) fn node(name: &str) -> Identity {
        let none = String::new;
        Identity { scope: Scope::Node, node: cut(name), namespace: none(), pod: none(), uid: none(), container: none() }
    }

    pub(crate) fn pod(node: &str, pod: &PodSample) -> Identity {
        Identity {
            scope: Scope::Pod,
            node: cut(node),
            namespace: cut(&pod.namespace),
            pod: cut(&pod.name),
            uid: cut(&pod.uid),
            container: String::new(),
        }
    }

    /// Of a container of this pod.
    pub(crate) fn container(&self, name: &str) -> Identity {
        Identity { scope: Scope::Container, container: cut(name), ..self.clone() }
    }

    pub(super) fn write(&self, out: &mut Vec<u8>) {
        out.push(match self.scope {
            Scope::Container => 0,
            Scope::Pod => 1,
            Scope::Node => 2,
        });
        for text in [&self.node, &self.namespace, &self.pod, &self.uid, &self.container] {
            varint::write_text(out, text);
        }
    }

    pub(super) fn read(from: &mut &[u8]) -> Option<Identity> {
        let (scope, rest) = from.split_first()?;
        *from = rest;
        let scope = match scope {
            0 => Scope::Container,
            1 => Scope::Pod,
            2 => Scope::Node,
            _ => return None,
        };
        let mut text = || varint::read_text(from, TEXT_BYTES_MAX);
        Some(Identity { scope, node: text()?, namespace: text()?, pod: text()?, uid: text()?, container: text()? })
    }
}
