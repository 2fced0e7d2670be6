//! `auth whoami`: the server's view of the user.

use crate::calls::At;
use crate::commands::create::typed;
use crate::commands::output::Printing;
use crate::context::Context;
use crate::failure::Result;
use crate::print::{Widths, grid};
use api::Kind;
use k8s_openapi::api::authentication::v1::SelfSubjectReview;
use serde_json::{Value, json};

#[derive(clap::Args)]
pub(crate) struct Arguments {
    #[command(flatten)]
    printing: Printing,
}

pub(super) async fn run(context: &Context, arguments: &Arguments) -> Result<()> {
    let review = typed(&SelfSubjectReview::DEF, json!({}));
    let review = context.create(At::collection(&SelfSubjectReview::DEF, ""), &review, &[]).await?;
    if let Some(format) = arguments.printing.chosen()? {
        return arguments.printing.show(context, &format, &review);
    }
    let user = &review["status"]["userInfo"];
    let list = |value: &Value| {
        let texts: Vec<&str> = value.as_array().into_iter().flatten().filter_map(Value::as_str).collect();
        format!("[{}]", texts.join(" "))
    };
    let mut lines = vec![vec!["ATTRIBUTE".to_owned(), "VALUE".to_owned()]];
    for (title, key) in [("Username", "username"), ("UID", "uid")] {
        if let Some(text) = user[key].as_str().filter(|text| !text.is_empty()) {
            lines.push(vec![title.to_owned(), text.to_owned()]);
        }
    }
    if user["groups"].as_array().is_some_and(|groups| !groups.is_empty()) {
        lines.push(vec!["Groups".to_owned(), list(&user["groups"])]);
    }
    let mut extra: Vec<_> = user["extra"].as_object().into_iter().flatten().collect();
    extra.sort_by_key(|(key, _)| *key);
    lines.extend(extra.into_iter().map(|(key, values)| vec![format!("Extra: {key}"), list(values)]));
    context.print(grid(&lines, &mut Widths::default()))
}
