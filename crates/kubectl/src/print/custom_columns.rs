//! `-o custom-columns=NAME:.metadata.name,…`: a table whose cells are JSONPaths.

use super::table::{Widths, grid};
use crate::failure::{Failure, Result};
use crate::jsonpath::Template;
use serde_json::Value;

const NONE: &str = "<none>";

#[derive(Clone, Debug)]
pub(crate) struct Columns {
    columns: Vec<(String, Template)>,
    no_headers: bool,
}

impl Columns {
    pub(crate) fn parse(text: &str, no_headers: bool) -> Result<Columns> {
        let column = |part: &str| {
            let (header, path) = part.split_once(':').ok_or_else(|| {
                Failure::message(format!("unexpected custom-columns spec: {part}, expected <header>:<json-path-expr>"))
            })?;
            Ok((header.to_owned(), Template::parse_relaxed(path)?))
        };
        Ok(Columns { columns: text.split(',').map(column).collect::<Result<_>>()?, no_headers })
    }

    /// Headers on the first line, paths on the second.
    pub(crate) fn parse_file(text: &str, no_headers: bool) -> Result<Columns> {
        let mut lines = text.lines().map(str::split_whitespace);
        let (headers, paths) = (lines.next(), lines.next());
        let (headers, paths) = headers
            .zip(paths)
            .ok_or_else(|| Failure::message("custom-columns format specified but no custom columns given"))?;
        let (headers, paths): (Vec<_>, Vec<_>) = (headers.collect(), paths.collect());
        if headers.len() != paths.len() {
            let (headers, paths) = (headers.len(), paths.len());
            return Err(Failure::message(format!(
                "number of headers ({headers}) and field specifications ({paths}) don't match"
            )));
        }
        let column = |(header, path): (&str, &str)| Ok((header.to_owned(), Template::parse_relaxed(path)?));
        Ok(Columns { columns: headers.into_iter().zip(paths).map(column).collect::<Result<_>>()?, no_headers })
    }

    pub(crate) fn render(&self, objects: &[&Value]) -> String {
        let headers = (!self.no_headers).then(|| self.columns.iter().map(|(header, _)| header.clone()).collect());
        let rows = objects.iter().map(|object| self.columns.iter().map(|(_, path)| cell(path, object)).collect());
        let lines: Vec<Vec<String>> = headers.into_iter().chain(rows).collect();
        grid(&lines, &mut Widths::default())
    }
}

fn cell(path: &Template, object: &Value) -> String {
    match path.find(object) {
        Ok(found) if !found.is_empty() => found.iter().map(super::display).collect::<Vec<_>>().join(","),
        _ => NONE.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn cells_are_paths() {
        let object = json!({"metadata": {"name": "a"}, "list": [{"x": 1}, {"x": 2}]});
        let columns = Columns::parse("N:.metadata.name,X:{.list[*].x},GONE:spec.gone", false).unwrap();
        assert_eq!(columns.render(&[&object]), "N     X     GONE\na     1,2   <none>\n");
        let columns = Columns::parse_file("N  X\nmetadata.name  .list[0].x\n", true).unwrap();
        assert_eq!(columns.render(&[&object]), "a     1\n");
        assert!(Columns::parse("N", false).unwrap_err().report().contains("expected <header>:<json-path-expr>"));
    }
}
