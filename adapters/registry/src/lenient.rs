//! Reading JSON of strangers: what is odd is left out, and nothing grows with it.

use std::{borrow::Cow, collections::BTreeMap, fmt, marker::PhantomData, str::FromStr};

use serde::{
    Deserialize, Deserializer,
    de::{Error as _, MapAccess, SeqAccess, Visitor},
};
use serde_json::value::RawValue;

/// A member that is taken when it is what it should be.
#[derive(Clone, Debug)]
pub(crate) struct Lenient<T>(pub(crate) Option<T>);

impl<T> Default for Lenient<T> {
    fn default() -> Self {
        Self(None)
    }
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Lenient<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let raw = <&'de RawValue>::deserialize(deserializer)?;
        Ok(Self(serde_json::from_str(raw.get()).ok()))
    }
}

/// Text that is some type of the domain.
pub(crate) struct Parsed<T>(pub(crate) T);

impl<'de, T: FromStr> Deserialize<'de> for Parsed<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = Cow::<'de, str>::deserialize(deserializer)?;
        text.parse().map(Self).map_err(|_| D::Error::custom("odd text"))
    }
}

/// The first members of a list, at most so many, that are what they should be.
pub(crate) struct AtMost<T, const MOST: usize>(pub(crate) Vec<T>);

impl<'de, T: Deserialize<'de>, const MOST: usize> Deserialize<'de> for AtMost<T, MOST> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct List<T, const MOST: usize>(PhantomData<T>);
        impl<'de, T: Deserialize<'de>, const MOST: usize> Visitor<'de> for List<T, MOST> {
            type Value = Vec<T>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a list")
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut members: A) -> Result<Vec<T>, A::Error> {
                let mut kept = Vec::new();
                while let Some(raw) = members.next_element::<&'de RawValue>()? {
                    if kept.len() < MOST {
                        kept.extend(serde_json::from_str::<T>(raw.get()).ok());
                    }
                }
                Ok(kept)
            }
        }
        deserializer.deserialize_seq(List::<T, MOST>(PhantomData)).map(Self)
    }
}

impl<T, const MOST: usize> Lenient<AtMost<T, MOST>> {
    /// The members; none when it is no list.
    pub(crate) fn list(self) -> Vec<T> {
        self.0.map(|list| list.0).unwrap_or_default()
    }
}

/// The first members of an object, at most so many, that are what they should be.
pub(crate) struct AtMostMembers<T, const MOST: usize>(pub(crate) BTreeMap<String, T>);

impl<'de, T: Deserialize<'de>, const MOST: usize> Deserialize<'de> for AtMostMembers<T, MOST> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Object<T, const MOST: usize>(PhantomData<T>);
        impl<'de, T: Deserialize<'de>, const MOST: usize> Visitor<'de> for Object<T, MOST> {
            type Value = BTreeMap<String, T>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Self::Value, A::Error> {
                let mut kept = BTreeMap::new();
                while let Some((name, raw)) = members.next_entry::<Cow<'de, str>, &'de RawValue>()? {
                    if kept.len() < MOST
                        && let Ok(value) = serde_json::from_str::<T>(raw.get())
                    {
                        kept.insert(short(&name), value);
                    }
                }
                Ok(kept)
            }
        }
        deserializer.deserialize_map(Object::<T, MOST>(PhantomData)).map(Self)
    }
}

impl<T, const MOST: usize> Lenient<AtMostMembers<T, MOST>> {
    /// The members; none when it is no object.
    pub(crate) fn members(self) -> BTreeMap<String, T> {
        self.0.map(|object| object.0).unwrap_or_default()
    }
}

/// Text that is cut when it is longer than people read.
pub(crate) struct Short(pub(crate) String);

impl<'de> Deserialize<'de> for Short {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Cow::<'de, str>::deserialize(deserializer).map(|text| Self(short(&text)))
    }
}

fn short(text: &str) -> String {
    const MOST_BYTES: usize = 4096;
    if text.len() <= MOST_BYTES {
        return text.to_owned();
    }
    format!("{}…", &text[..text.floor_char_boundary(MOST_BYTES)])
}

#[cfg(test)]
mod tests {
    use staticreg_domain::Tag;

    use super::*;

    #[test]
    fn odd_members_of_a_list_are_left_out_and_the_rest_stays() {
        let json = r#"["v1", "<script>", 7, null, {"a": ["b"]}, "v\u0032", "v3"]"#;
        let tags: AtMost<Parsed<Tag>, 2> = serde_json::from_str(json).unwrap();
        let tags: Vec<&str> = tags.0.iter().map(|tag| tag.0.as_str()).collect();
        assert_eq!(tags, ["v1", "v2"]);
    }

    #[test]
    fn odd_members_of_an_object_are_left_out() {
        let json = r#"{"a": 1, "b": "text", "c": null, "d": "more", "e": "too many"}"#;
        let labels: AtMostMembers<String, 2> = serde_json::from_str(json).unwrap();
        assert_eq!(
            labels.0.into_iter().collect::<Vec<_>>(),
            [("b".to_owned(), "text".to_owned()), ("d".to_owned(), "more".to_owned())]
        );
    }

    #[test]
    fn a_list_that_is_none_is_no_list() {
        assert!(serde_json::from_str::<AtMost<String, 2>>(r#"{"a": 1}"#).is_err());
        assert!(serde_json::from_str::<Lenient<AtMost<String, 2>>>(r#"{"a": 1}"#).unwrap().0.is_none());
    }

    #[test]
    fn long_text_is_cut_between_characters() {
        let cut = short(&"ä".repeat(3000));
        assert_eq!(cut, format!("{}…", "ä".repeat(2048)));
        assert_eq!(short("short"), "short");
    }
}
