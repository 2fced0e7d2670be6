//! `create secret docker-registry`: what a node says to a registry of images.

use super::data::{Content, Hashed, read};
use crate::commands::output::exactly_one;
use crate::context::Context;
use crate::failure::{Failure, Result};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Value};

#[derive(clap::Args)]
pub(super) struct Registry {
    name: Vec<String>,
    #[arg(long, default_value = "https://index.docker.io/v1/")]
    docker_server: String,
    #[arg(long, default_value = "", hide_default_value = true)]
    docker_username: String,
    #[arg(long, default_value = "", hide_default_value = true)]
    docker_password: String,
    #[arg(long, default_value = "", hide_default_value = true)]
    docker_email: String,
    /// [KEY=]FILE that docker wrote
    #[arg(long, value_delimiter = ',')]
    from_file: Vec<String>,
    #[command(flatten)]
    hashed: Hashed,
}

const KEY: &str = ".dockerconfigjson";

impl Registry {
    pub(super) async fn run(&self, context: &Context) -> Result<()> {
        let name = exactly_one(&self.name, "create secret docker-registry")?;
        let content = if self.from_file.is_empty() { self.login()? } else { self.files()? };
        self.hashed.create(context, name, "kubernetes.io/dockerconfigjson", content).await
    }

    fn files(&self) -> Result<Content> {
        let one = |source: &String| {
            let (key, path) = source.split_once('=').unwrap_or((KEY, source));
            Ok((key.to_owned(), read(path)?))
        };
        self.from_file.iter().map(one).collect()
    }

    fn login(&self) -> Result<Content> {
        let (user, password) = (&self.docker_username, &self.docker_password);
        if user.is_empty() || password.is_empty() || self.docker_server.is_empty() {
            return Err(Failure::message(
                "either --from-file or the combination of --docker-username, --docker-password and --docker-server is required",
            ));
        }
        let auth = STANDARD.encode(format!("{user}:{password}"));
        // In the order in which upstream writes them: the bytes are what is stored.
        let fields = [("username", user), ("password", password), ("email", &self.docker_email), ("auth", &auth)];
        let fields = fields.iter().filter(|(_, value)| !value.is_empty());
        let login: Map<String, Value> =
            fields.map(|(key, value)| ((*key).to_owned(), Value::from(value.as_str()))).collect();
        let text = format!("{{\"auths\":{{{}:{}}}}}", Value::from(self.docker_server.as_str()), Value::Object(login));
        Ok([(KEY.to_owned(), text.into_bytes())].into_iter().collect())
    }
}
