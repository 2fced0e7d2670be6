//! One page of the screen: what it shows, and the feed that keeps it up to date while it is on top.

use super::feed::{Feed, Source, Update};
use super::table::TableView;
use super::text::TextView;
use crate::calls::Selection;
use crate::context::Context;
use crate::live::ROWS_MAX;
use crate::target::Target;
use api::ResourceDef;
use std::sync::Arc;

pub(super) enum Body {
    Table(Box<TableView>),
    Text(TextView),
}

pub(super) struct View {
    /// What is shown, without how much of it.
    pub(super) title: String,
    pub(super) source: Source,
    pub(super) body: Body,
    feed: Option<Feed>,
    /// What is wrong with it, while it is.
    pub(super) trouble: Option<String>,
}

impl View {
    fn new(title: String, source: Source, body: Body) -> View {
        View { title, source, body, feed: None, trouble: None }
    }

    /// All objects of a kind, in one namespace or, where it is empty, in all.
    pub(super) fn objects(def: &'static ResourceDef, namespace: &str) -> View {
        View::selected(def, namespace, Selection::default(), None, "")
    }

    /// Some of a kind's objects; `of` says whose.
    pub(super) fn selected(
        def: &'static ResourceDef,
        namespace: &str,
        selection: Selection,
        owner: Option<String>,
        of: &str,
    ) -> View {
        let namespace = if def.namespaced() { namespace } else { "" };
        let place = match (def.namespaced(), namespace) {
            (false, _) => String::new(),
            (true, "") => "(all)".to_owned(),
            (true, namespace) => format!("({namespace})"),
        };
        let of = if of.is_empty() { String::new() } else { format!(" of {of}") };
        let shows_namespaces = def.namespaced() && namespace.is_empty();
        let body = Body::Table(Box::new(TableView::new(shows_namespaces, owner)));
        let source = Source::Objects { def, namespace: namespace.to_owned(), selection };
        View::new(format!("{}{place}{of}", def.plural), source, body)
    }

    pub(super) fn containers(pod: Target) -> View {
        let title = format!("containers of {}/{}", pod.namespace, pod.name);
        View::new(title, Source::Containers { pod }, Body::Table(Box::new(TableView::new(false, None))))
    }

    pub(super) fn log(pod: Target, container: String, previous: bool) -> View {
        let before = if previous { " before its restart" } else { "" };
        let title = format!("log of {}/{}:{container}{before}", pod.namespace, pod.name);
        View::new(title, Source::Log { pod, container, previous }, Body::Text(TextView::log()))
    }

    pub(super) fn text(title: String, text: &str) -> View {
        View::new(title, Source::Text, Body::Text(TextView::of(text)))
    }

    /// Begins to follow, from a new list.
    pub(super) fn open(&mut self, context: &Arc<Context>) {
        if let (Body::Text(text), Source::Log { .. }) = (&mut self.body, &self.source) {
            text.clear();
        }
        self.feed = Feed::open(context, &self.source);
    }

    /// What is below another view is not followed.
    pub(super) fn close(&mut self) {
        self.feed = None;
    }

    pub(super) async fn updates(&mut self) -> Vec<Update> {
        match &mut self.feed {
            Some(feed) => feed.next().await,
            None => std::future::pending().await,
        }
    }

    pub(super) fn update(&mut self, update: Update) {
        match (update, &mut self.body) {
            (Update::Change(change), Body::Table(table)) => {
                self.trouble = table.live.apply(change).err().map(|failure| failure.report());
                table.is_listed = true;
            }
            (Update::Usages(usages), Body::Table(table)) => table.usages = usages,
            (Update::Lines(lines), Body::Text(text)) => {
                self.trouble = None;
                text.push(lines);
            }
            (Update::Trouble(trouble), _) => self.trouble = Some(trouble),
            (Update::Ended, _) => self.trouble = Some("the log has ended".to_owned()),
            (Update::Change(_) | Update::Usages(_), Body::Text(_)) | (Update::Lines(_), Body::Table(_)) => {}
        }
    }

    /// After updates, before the view is drawn.
    pub(super) fn settle(&mut self) {
        if let Body::Table(table) = &mut self.body {
            table.settle();
            let left_out = table.live.left_out;
            if left_out > 0 {
                self.trouble = Some(format!("only the first {ROWS_MAX} are shown, {left_out} more are not"));
            }
        }
    }

    /// How much of it is shown: `[5]`, or `[2/5]` behind a filter.
    pub(super) fn count(&self) -> String {
        match &self.body {
            Body::Table(table) if !table.is_listed => "[…]".to_owned(),
            Body::Table(table) => {
                let (shown, all) = (table.rows().len(), table.live.len());
                if shown == all { format!("[{all}]") } else { format!("[{shown}/{all}]") }
            }
            Body::Text(text) => format!("[{}]", text.len()),
        }
    }

    pub(super) fn filter(&self) -> &super::filter::Filter {
        match &self.body {
            Body::Table(table) => &table.filter,
            Body::Text(text) => &text.filter,
        }
    }

    pub(super) fn set_filter(&mut self, text: &str) {
        let filter = super::filter::Filter::new(text);
        match &mut self.body {
            Body::Table(table) => table.filter = filter,
            Body::Text(text) => text.filter = filter,
        }
    }
}
