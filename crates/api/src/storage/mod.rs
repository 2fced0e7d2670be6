//! The kinds of the storage group.

mod csi_driver;
mod csi_node;
mod storage_class;
mod volume_attachment;
