//! The kinds of the storage group.

mod csi_driver;
mod csi_node;
mod csi_storage_capacity;
mod rules;
mod storage_class;
mod volume_attachment;
mod volume_attributes_class;

pub(crate) use rules::driver_name;
