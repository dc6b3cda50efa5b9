//! The `OpenAPI` descriptions of both interfaces, made from the published files: the committed ones are these.

use std::{collections::BTreeSet, fs, path::Path};

use boxoffice::{
    api::{
        booking,
        operator::{
            self,
            rest::{ROUTES, Source},
        },
        streamed::JSON_LINES,
    },
    kernel::rpc::{OperatorRpc, Rpc},
};
use prost_reflect::{
    DescriptorPool, EnumDescriptor, FieldDescriptor, FileDescriptor, Kind, MessageDescriptor,
    MethodDescriptor, ServiceDescriptor,
};
use serde_json::{Map, Value, json};

/// Makes the description of one interface.
struct Generator {
    pool: DescriptorPool,
    /// Full names of messages and enums that are referred to.
    wanted: BTreeSet<String>,
}

impl Generator {
    fn new(published: &[u8]) -> Self {
        Self {
            pool: DescriptorPool::decode(published).unwrap(),
            wanted: BTreeSet::new(),
        }
    }

    fn method(&self, name: &str) -> MethodDescriptor {
        let services: Vec<_> = self.pool.services().collect();
        let mut methods = services.iter().flat_map(ServiceDescriptor::methods);
        methods.find(|method| method.name() == name).unwrap()
    }

    /// The schema of a value of a field, which may be one of a list.
    fn value(&mut self, field: &FieldDescriptor) -> Value {
        match field.kind() {
            Kind::Bool => json!({"type": "boolean"}),
            Kind::String => json!({"type": "string"}),
            Kind::Bytes => json!({"type": "string", "contentEncoding": "base64"}),
            Kind::Int32 | Kind::Sint32 | Kind::Sfixed32 => {
                json!({"type": "integer", "format": "int32"})
            }
            Kind::Uint32 | Kind::Fixed32 => json!({"type": "integer", "minimum": 0}),
            // As protocol buffers write them: numbers in JSON have too few digits.
            Kind::Int64 | Kind::Sint64 | Kind::Sfixed64 => {
                json!({"type": "string", "format": "int64"})
            }
            Kind::Uint64 | Kind::Fixed64 => json!({"type": "string", "format": "uint64"}),
            Kind::Float | Kind::Double => json!({"type": "number"}),
            Kind::Message(message) => self.message(&message),
            Kind::Enum(found) => self.reference(found.full_name()),
        }
    }

    fn message(&mut self, message: &MessageDescriptor) -> Value {
        match message.full_name() {
            "google.protobuf.Timestamp" => json!({"type": "string", "format": "date-time"}),
            "google.protobuf.FieldMask" => {
                json!({"type": "string", "description": "Names of fields with commas between."})
            }
            name => self.reference(name),
        }
    }

    fn reference(&mut self, full_name: &str) -> Value {
        self.wanted.insert(full_name.to_owned());
        json!({"$ref": format!("#/components/schemas/{}", short(full_name))})
    }

    fn field(&mut self, field: &FieldDescriptor) -> Value {
        let mut schema = if field.is_map() {
            let Kind::Message(entry) = field.kind() else {
                panic!("a map has entries")
            };
            let value = self.value(&entry.map_entry_value_field());
            json!({"type": "object", "additionalProperties": value})
        } else if field.is_list() {
            json!({"type": "array", "items": self.value(field)})
        } else {
            self.value(field)
        };
        schema["description"] = comment(&field.parent_file(), field.path()).into();
        schema
    }

    fn schema(&mut self, full_name: &str) -> Value {
        if let Some(found) = self.pool.get_enum_by_name(full_name) {
            return enum_schema(&found);
        }
        let message = self.pool.get_message_by_name(full_name).unwrap();
        let mut properties = Map::new();
        for field in message.fields() {
            properties.insert(field.name().to_owned(), self.field(&field));
        }
        json!({
            "type": "object",
            "description": comment(&message.parent_file(), message.path()),
            "properties": properties,
        })
    }

    /// All schemas that are referred to, also by each other.
    fn schemas(&mut self) -> Map<String, Value> {
        let mut schemas = Map::new();
        loop {
            let missing = self
                .wanted
                .iter()
                .find(|name| !schemas.contains_key(short(name)));
            let Some(name) = missing.cloned() else {
                return schemas;
            };
            let schema = self.schema(&name);
            schemas.insert(short(&name).to_owned(), schema);
        }
    }

    /// The fields of a request as parameters of a query, those of messages within it behind dots.
    fn parameters(&mut self, message: &MessageDescriptor, within: &str) -> Vec<Value> {
        let mut parameters = Vec::new();
        for field in message.fields() {
            let path = format!("{within}{}", field.name());
            if let Kind::Message(inner) = field.kind()
                && inner.package_name() == message.package_name()
            {
                parameters.extend(self.parameters(&inner, &format!("{path}.")));
                continue;
            }
            let mut schema = self.field(&field);
            let description = schema["description"].take();
            schema.as_object_mut().unwrap().remove("description");
            parameters.push(json!({
                "name": path,
                "in": "query",
                "description": description,
                "schema": schema,
            }));
        }
        parameters
    }

    fn operation(&mut self, method: &MethodDescriptor) -> Value {
        let answer = self.message(&method.output());
        let (about, content_type) = if method.is_server_streaming() {
            let lines = "One answer on each line; after an error, `Error` on the last one.";
            (lines, JSON_LINES)
        } else {
            ("The answer.", "application/json")
        };
        json!({
            "operationId": method.name(),
            "description": comment(&method.parent_file(), method.path()),
            "responses": {
                "200": {
                    "description": about,
                    "content": {content_type: {"schema": answer}},
                },
                "default": {"$ref": "#/components/responses/Error"},
            },
        })
    }

    fn body(&mut self, method: &MethodDescriptor) -> Value {
        let schema = self.message(&method.input());
        json!({"required": true, "content": {"application/json": {"schema": schema}}})
    }

    fn document(mut self, title: &str, about: &str, paths: &Map<String, Value>) -> String {
        let mut schemas = self.schemas();
        schemas.insert("Error".to_owned(), error_schema());
        let document = json!({
            "openapi": "3.1.0",
            "info": {"title": title, "description": about, "version": env!("CARGO_PKG_VERSION")},
            "paths": paths,
            // With and without passwords, as the server is set up.
            "security": [{"basic": []}, {}],
            "components": {
                "schemas": schemas,
                "responses": {"Error": {
                    "description": "An error, in the form of google.rpc.Status.",
                    "content": {"application/json": {"schema": {"$ref": "#/components/schemas/Error"}}},
                }},
                "securitySchemes": {"basic": {"type": "http", "scheme": "basic"}},
            },
        });
        format!("{document:#}\n")
    }
}

fn enum_schema(found: &EnumDescriptor) -> Value {
    let values: Vec<String> = found
        .values()
        .map(|value| value.name().to_owned())
        .collect();
    json!({
        "type": "string",
        "description": comment(&found.parent_file(), found.path()),
        "enum": values,
    })
}

fn error_schema() -> Value {
    let text = json!({"type": "string"});
    json!({
        "type": "object",
        "description": "docs/errors.md has every reason.",
        "properties": {"error": {
            "type": "object",
            "properties": {
                "code": {"type": "integer", "description": "The HTTP status."},
                "message": text,
                "status": {"type": "string", "description": "The gRPC code."},
                "details": {"type": "array", "items": {"type": "object"}},
            },
        }},
    })
}

/// A full name without its package.
fn short(full_name: &str) -> &str {
    let begin = full_name.find(|letter: char| letter.is_ascii_uppercase());
    &full_name[begin.unwrap_or(0)..]
}

/// The comment at a path of a published file, as one text.
fn comment(file: &FileDescriptor, path: &[i32]) -> String {
    let info = file.file_descriptor_proto().source_code_info.as_ref();
    let location =
        info.and_then(|info| info.location.iter().find(|location| location.path == path));
    let comment = location.and_then(|location| location.leading_comments.as_deref());
    let comment = comment.unwrap_or_default();
    let paragraphs = comment.trim().split("\n\n").map(|paragraph| {
        let lines = paragraph.lines().map(str::trim);
        lines.collect::<Vec<_>>().join(" ")
    });
    paragraphs.collect::<Vec<_>>().join("\n\n")
}

/// The parameters in the braces of a path.
fn path_parameters(path: &str) -> Vec<Value> {
    let mut parameters = Vec::new();
    for step in path.split('{').skip(1) {
        let (name, _) = step.split_once('}').unwrap();
        let description = match name {
            "order" => "The id of the order.",
            "part" => "`items`, `fulfillments` or `refunds`.",
            "index" => "The index of the item, or the number of the fulfillment or refund.",
            "step" => "The number of the step.",
            _ => panic!("{name} has no description"),
        };
        parameters.push(json!({
            "name": name,
            "in": "path",
            "required": true,
            "description": description,
            "schema": {"type": "string"},
        }));
    }
    parameters
}

fn of_operator() -> String {
    let mut generator = Generator::new(operator::proto::FILE_DESCRIPTOR_SET);
    let mut paths: Map<String, Value> = Map::new();
    for route in ROUTES {
        let method = generator.method(route.rpc.name());
        let mut operation = generator.operation(&method);
        let http = match route.source {
            Source::Query => {
                let mut parameters = generator.parameters(&method.input(), "");
                if let Some(field) = route.name_field {
                    parameters.retain(|parameter| parameter["name"] != field);
                    parameters.splice(0..0, path_parameters(route.path));
                }
                operation["parameters"] = parameters.into();
                "get"
            }
            Source::Body => {
                let id = match (route.rpc, route.path.contains("{part}")) {
                    (OperatorRpc::SearchOrders, _) => format!("{}ByBody", method.name()),
                    (_, true) => format!("{}OfPart", method.name()),
                    (_, false) => method.name().to_owned(),
                };
                operation["operationId"] = id.into();
                operation["requestBody"] = generator.body(&method);
                if route.name_field.is_some() {
                    operation["parameters"] = path_parameters(route.path).into();
                }
                "post"
            }
        };
        paths.insert(format!("/{}", route.path), json!({http: operation}));
    }
    let about = "Orders after the sale, slots and who comes, for those who run the box office. docs/operator.md explains it.";
    generator.document("Box Office, operator", about, &paths)
}

fn of_booking() -> String {
    let mut generator = Generator::new(booking::proto::FILE_DESCRIPTOR_SET);
    let mut paths: Map<String, Value> = Map::new();
    for rpc in Rpc::ALL {
        let path = format!("/v3/{}", rpc.name());
        if rpc == Rpc::HealthCheck {
            let health = json!({"get": {
                "operationId": rpc.name(),
                "description": "Whether the server is ready.",
                "responses": {
                    "200": {"description": "It is."},
                    "default": {"$ref": "#/components/responses/Error"},
                },
            }});
            paths.insert(path, health);
            continue;
        }
        let method = generator.method(rpc.name());
        let mut operation = generator.operation(&method);
        operation["requestBody"] = generator.body(&method);
        paths.insert(path, json!({"post": operation}));
    }
    let about = "The Google Maps Booking v3 order contract. docs/api.md explains it.";
    generator.document("Box Office, booking", about, &paths)
}

/// Compares a committed description with the one of the published files.
fn check(name: &str, expected: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("docs/openapi")
        .join(name);
    let found = fs::read_to_string(&path).unwrap_or_default();
    if found != expected {
        let made = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
        fs::write(&made, expected).unwrap();
        panic!(
            "docs/openapi/{name} is out of date: copy {} over it",
            made.display()
        );
    }
}

#[test]
fn the_description_of_the_contract_is_that_of_its_files() {
    check("booking.json", &of_booking());
}

#[test]
fn the_description_of_the_operators_services_is_that_of_their_files() {
    check("operator.json", &of_operator());
}

#[test]
fn methods_are_streamed_as_their_files_say() {
    let generator = Generator::new(operator::proto::FILE_DESCRIPTOR_SET);
    for rpc in OperatorRpc::ALL {
        let method = generator.method(rpc.name());
        let is_streamed = method.is_server_streaming();
        assert_eq!(rpc.is_streamed(), is_streamed, "{}", rpc.name());
    }
}

#[test]
fn every_reference_of_a_description_leads_somewhere() {
    for text in [of_booking(), of_operator()] {
        let document: Value = serde_json::from_str(&text).unwrap();
        let references = text.lines().filter_map(|line| {
            let (_, rest) = line.split_once("\"$ref\": \"#")?;
            rest.split_once('"').map(|(pointer, _)| pointer)
        });
        let mut count = 0;
        for pointer in references {
            assert!(document.pointer(pointer).is_some(), "{pointer}");
            count += 1;
        }
        assert!(count > 10, "{count} references");
    }
}
