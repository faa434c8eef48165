//! Functions around one of DataFusion's, kept in a field `inner`: what they are is what it is, and only calls differ.

/// Two of a type are equal when they are around the same function: names are unique within a statement's registry.
macro_rules! equal_by_inner {
    ($type:ty) => {
        impl PartialEq for $type {
            fn eq(&self, other: &Self) -> bool {
                self.inner == other.inner
            }
        }

        impl Eq for $type {}

        impl std::hash::Hash for $type {
            fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
                self.inner.hash(state);
            }
        }
    };
}

/// The methods of `ScalarUDFImpl` that say what a function is.
macro_rules! described_by_inner {
    () => {
        fn name(&self) -> &str {
            self.inner.name()
        }

        fn aliases(&self) -> &[String] {
            self.inner.aliases()
        }

        fn signature(&self) -> &Signature {
            self.inner.signature()
        }

        fn return_type(&self, arguments: &[DataType]) -> Result<DataType> {
            self.inner.return_type(arguments)
        }

        fn return_field_from_args(&self, arguments: ReturnFieldArgs<'_>) -> Result<FieldRef> {
            self.inner.return_field_from_args(arguments)
        }

        fn coerce_types(&self, arguments: &[DataType]) -> Result<Vec<DataType>> {
            self.inner.coerce_types(arguments)
        }
    };
}

pub(super) use {described_by_inner, equal_by_inner};
