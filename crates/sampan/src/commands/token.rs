//! `token create`: lets another machine join.

use crate::cli::TokenCommand;
use crate::roles::authority_pin;
use crate::settings::Settings;
use anyhow::{Context, Result};
use apiserver::bootstrap::{NewToken, create_bootstrap_token};
use client::{Client, Config, Remote};
use std::path::Path;
use std::sync::Arc;

pub(crate) fn token(command: TokenCommand) -> Result<()> {
    let TokenCommand::Create { data_dir, ttl } = command;
    let settings = Settings::load(&data_dir.data_dir)?;
    let token = super::small_runtime()?.block_on(create(&data_dir.data_dir, ttl))?;
    println!("{token}");
    eprintln!("# on the other machine:\nsampan join --server {} --token {token}", settings.public_url());
    Ok(())
}

/// The token, and behind it the pin by which the joining machine knows the server.
async fn create(data_dir: &Path, ttl: i64) -> Result<String> {
    let config = Config::from_kubeconfig(&data_dir.join("admin.kubeconfig"), None)?;
    let pin = authority_pin(&config.ca_pem)?;
    let client = Client::new(Arc::new(Remote::new(config)?));
    let token = NewToken { ttl_seconds: Some(ttl), description: "sampan token create".to_owned(), ..join_token() };
    let now = jiff::Timestamp::now().as_second();
    let token = create_bootstrap_token(&client, &token, now).await.context("keeping the token in the cluster")?;
    Ok(format!("{token}.{pin}"))
}

/// What every join token allows: to ask for a node's certificates.
pub(crate) fn join_token() -> NewToken {
    NewToken {
        ttl_seconds: None,
        description: String::new(),
        groups: vec!["system:bootstrappers:kubeadm:default-node-token".to_owned()],
    }
}
