//! Gathering what was given for each key: flags over environment over file, each with its place.
//!
//! Unknown keys end here, and values of the wrong shape. What a value means is read in `value`.

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::keys::{self, KEYS, Key, Shape, VARIABLE_PREFIX, VARIABLE_SEPARATOR};
use super::{ConfigError, ConfigFile};

/// Where a value was given.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Source {
    /// On the command line, by this flag.
    Flag(&'static str),
    /// In the environment, by this variable.
    Variable(String),
    /// In a file.
    File {
        /// Which.
        path: PathBuf,
        /// The line, from 1.
        line: usize,
    },
    /// Nowhere.
    Default,
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Flag(flag) => f.write_str(flag),
            Self::Variable(name) => f.write_str(name),
            Self::File { path, line } => write!(f, "{}:{line}", path.display()),
            Self::Default => f.write_str("the default"),
        }
    }
}

/// A value of the shape that its key asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Value {
    /// Of [`Shape::Text`].
    Text(String),
    /// Of [`Shape::Texts`].
    Texts(Vec<String>),
    /// Of [`Shape::Whole`]; what is negative or beyond is no whole number here.
    Whole(u64),
    /// Of [`Shape::Switch`].
    Switch(bool),
}

/// The value given for one key, and where.
#[derive(Clone, Debug)]
pub(super) struct Given {
    pub(super) value: Value,
    pub(super) place: Source,
}

/// What was given, the strongest place for each key.
#[derive(Debug, Default)]
pub(super) struct Layers {
    given: BTreeMap<&'static str, Given>,
}

impl Layers {
    pub(super) fn gather(
        flags: Vec<(&'static Key, Value)>,
        variables: &BTreeMap<String, String>,
        file: Option<&ConfigFile>,
    ) -> Result<Self, ConfigError> {
        let mut layers = Self::default();
        if let Some(file) = file {
            layers.read_file(file)?;
        }
        layers.read_variables(variables)?;
        for (key, value) in flags {
            let place = Source::Flag(key.flag.expect("given by its flag"));
            layers.give(key, value, place);
        }
        Ok(layers)
    }

    pub(super) fn get(&self, key: &Key) -> Option<&Given> {
        self.given.get(key.name)
    }

    /// Where the key's value was given.
    pub(super) fn place(&self, key: &Key) -> Source {
        self.get(key).map_or(Source::Default, |given| given.place.clone())
    }

    fn give(&mut self, key: &'static Key, value: Value, place: Source) {
        self.given.insert(key.name, Given { value, place });
    }

    fn read_variables(&mut self, variables: &BTreeMap<String, String>) -> Result<(), ConfigError> {
        for (name, text) in variables {
            let ours =
                name.strip_prefix(VARIABLE_PREFIX).is_some_and(|rest| rest.contains(VARIABLE_SEPARATOR));
            if !ours {
                continue;
            }
            let place = Source::Variable(name.clone());
            let key = KEYS.into_iter().find(|key| key.variable() == *name);
            let key = key.ok_or_else(|| ConfigError::Unknown {
                source_text: "the environment".to_owned(),
                got: name.clone(),
                nearest: keys::nearest(name, KEYS.into_iter().map(Key::variable)),
            })?;
            let value = from_text(key.shape, text).ok_or_else(|| bad_shape(key, place.clone(), text))?;
            self.give(key, value, place);
        }
        Ok(())
    }

    fn read_file(&mut self, file: &ConfigFile) -> Result<(), ConfigError> {
        let line = |offset: usize| 1 + file.text.bytes().take(offset).filter(|byte| *byte == b'\n').count();
        let root = DeTable::parse(&file.text).map_err(|error| ConfigError::Syntax {
            path: file.path.clone(),
            line: line(error.span().map_or(0, |span| span.start)),
            what: error.message().to_owned(),
        })?;
        let place = |offset| Source::File { path: file.path.clone(), line: line(offset) };
        for (section, value) in root.get_ref() {
            let known = KEYS.iter().any(|key| key.parts().0 == section.get_ref().as_ref());
            let DeValue::Table(table) = value.get_ref() else {
                return Err(unknown(place(section.span().start), section.get_ref()));
            };
            if !known {
                return Err(unknown(place(section.span().start), section.get_ref()));
            }
            for (name, value) in table {
                let name_text = format!("{}.{}", section.get_ref(), name.get_ref());
                let place = place(name.span().start);
                let Some(key) = keys::by_name(&name_text) else { return Err(unknown(place, &name_text)) };
                let shown = file.text.get(value.span()).unwrap_or_default();
                let value =
                    from_toml(key.shape, value).ok_or_else(|| bad_shape(key, place.clone(), shown))?;
                self.give(key, value, place);
            }
        }
        Ok(())
    }
}

fn unknown(place: Source, got: &str) -> ConfigError {
    let names = KEYS.iter().map(|key| key.name.to_owned());
    ConfigError::Unknown {
        source_text: place.to_string(),
        got: got.to_owned(),
        nearest: keys::nearest(got, names),
    }
}

fn bad_shape(key: &Key, place: Source, got: &str) -> ConfigError {
    let shape = match key.shape {
        Shape::Texts if matches!(place, Source::File { .. }) => "an array of ",
        _ => "",
    };
    let expected = format!("{shape}{}", key.expects);
    let got = if got.is_empty() { "nothing".to_owned() } else { got.chars().take(100).collect() };
    ConfigError::Value { key: key.name, place, expected, got }
}

/// A variable's text as a value: lists are separated by commas, and an empty text is the empty list.
fn from_text(shape: Shape, text: &str) -> Option<Value> {
    match shape {
        Shape::Text => (!text.is_empty()).then(|| Value::Text(text.to_owned())),
        Shape::Texts if text.trim().is_empty() => Some(Value::Texts(Vec::new())),
        Shape::Texts => Some(Value::Texts(text.split(',').map(|item| item.trim().to_owned()).collect())),
        Shape::Whole => text.parse().ok().map(Value::Whole),
        Shape::Switch => text.parse().ok().map(Value::Switch),
    }
}

fn from_toml(shape: Shape, value: &Spanned<DeValue<'_>>) -> Option<Value> {
    let text = |value: &Spanned<DeValue<'_>>| value.get_ref().as_str().map(ToOwned::to_owned);
    match (shape, value.get_ref()) {
        (Shape::Text, _) => text(value).filter(|text| !text.is_empty()).map(Value::Text),
        (Shape::Texts, DeValue::Array(items)) => {
            items.iter().map(text).collect::<Option<_>>().map(Value::Texts)
        }
        (Shape::Whole, DeValue::Integer(number)) => {
            u64::from_str_radix(number.as_str(), number.radix()).ok().map(Value::Whole)
        }
        (Shape::Switch, DeValue::Boolean(switch)) => Some(Value::Switch(*switch)),
        _ => None,
    }
}
