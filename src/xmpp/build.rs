//! Elements for what we write.

use minidom::{Element, Node};
use rxml::{Namespace, NcName};

/// A child or a stanza being made.
#[derive(Debug)]
pub struct Build(Element);

/// Starts an element. `name` must be an XML name.
#[must_use]
pub fn element(name: &str, namespace: &str) -> Build {
    Build(Element::bare(name, namespace))
}

impl Build {
    /// Sets an attribute in no namespace. `name` must be an XML name without a colon, else it is left out.
    #[must_use]
    pub fn attr(mut self, name: &str, value: &str) -> Self {
        // Names are literals of this crate; a wrong one is a bug that the tests of the writers show.
        if let Ok(name) = NcName::try_from(name) {
            self.0.set_attr(Namespace::NONE, name, value);
        }
        self
    }

    /// Sets an attribute if there is a value.
    #[must_use]
    pub fn maybe_attr(self, name: &str, value: Option<&str>) -> Self {
        match value {
            Some(value) => self.attr(name, value),
            None => self,
        }
    }

    /// Appends a child.
    #[must_use]
    pub fn child(mut self, child: impl Into<Element>) -> Self {
        self.0.append_child(child.into());
        self
    }

    /// Appends a child if there is one.
    #[must_use]
    pub fn maybe_child(self, child: Option<Element>) -> Self {
        match child {
            Some(child) => self.child(child),
            None => self,
        }
    }

    /// Appends text.
    #[must_use]
    pub fn text(mut self, text: &str) -> Self {
        self.0.append_node(Node::Text(text.to_owned()));
        self
    }
}

impl From<Build> for Element {
    fn from(build: Build) -> Element {
        build.0
    }
}
