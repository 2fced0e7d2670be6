//! The node agent: runs the pods that are bound to its node, against CRI alone.

mod duration_text;
mod pod;
mod pod_machine;
