//! `image`: the node's images, worked on directly in its store, whether the node runs or not.

use crate::cli::{DataDir, ImageCommand};
use crate::images;
use crate::settings::Settings;
use anyhow::{Result, bail};
use runtime::image::{DiskStore, ImageStore};
use std::sync::Arc;

pub(crate) fn image(command: ImageCommand) -> Result<()> {
    let runtime = super::small_runtime()?;
    match command {
        ImageCommand::Import { file, data_dir } => {
            for image in runtime.block_on(store(&data_dir)?.import(&file))? {
                match image.names.first() {
                    Some(name) => println!("{name}"),
                    None => println!("{}", image.id),
                }
            }
        }
        ImageCommand::Ls { data_dir } => {
            println!("{:<60} {:<20} SIZE", "IMAGE", "ID");
            for image in runtime.block_on(store(&data_dir)?.list())? {
                let id = image.id.strip_prefix("sha256:").unwrap_or(&image.id);
                let names = if image.tags.is_empty() { &image.digests } else { &image.tags };
                let name = names.first().map_or("<none>", String::as_str);
                println!("{name:<60} {:<20} {:.1} MB", &id[..id.len().min(16)], image.size_bytes as f64 / 1e6);
            }
        }
        ImageCommand::Pull { image, data_dir } => {
            println!("{}", runtime.block_on(store(&data_dir)?.pull(&image, None))?)
        }
        ImageCommand::Rm { image, data_dir } => runtime.block_on(store(&data_dir)?.remove(&image))?,
    }
    Ok(())
}

fn store(data_dir: &DataDir) -> Result<Arc<DiskStore>> {
    let settings = Settings::load(&data_dir.data_dir)?;
    if let Some(endpoint) = &settings.container_runtime_endpoint {
        bail!("this node's images are kept by {endpoint}: use that runtime's own tool");
    }
    images::open(&settings)
}
