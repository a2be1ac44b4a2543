use super::*;
use crate::jid::Jid;

const ABOUT: &str = "urn:example:form";

fn submitted(fields: &str) -> Result<Submission, FormError> {
    let form = format!("<x xmlns='{FORM_NS}' type='submit'>{fields}</x>");
    Submission::read(&Element::parse(form.as_bytes(), "", &[]).unwrap(), ABOUT)
}

fn field(var: &str, values: &[&str]) -> String {
    let values = values.iter().map(|value| format!("<value>{value}</value>"));
    format!("<field var='{var}'>{}</field>", String::from_iter(values))
}

#[test]
fn a_form_is_written_with_what_it_is_about_first() {
    let form = Form::new(FormKind::Form, ABOUT)
        .titled("A user", "Fill this in.")
        .with_field(Field::new(FieldKind::JidSingle, "who", "Whom").required())
        .with_field(
            Field::new(FieldKind::ListSingle, "most", "How many")
                .with_values(["1".to_owned()])
                .with_options(&["1", "2"]),
        );
    assert_eq!(
        form.to_element().to_string(),
        format!(
            "<x xmlns='{FORM_NS}' type='form'><title>A user</title><instructions>Fill this in.</instructions>\
             <field type='hidden' var='FORM_TYPE'><value>{ABOUT}</value></field>\
             <field type='jid-single' var='who' label='Whom'><required/></field>\
             <field type='list-single' var='most' label='How many'><value>1</value>\
             <option label='1'><value>1</value></option><option label='2'><value>2</value></option></field></x>"
        )
    );
}

#[test]
fn what_is_filled_in_is_read_by_its_names() {
    let form = submitted(
        &[
            field("FORM_TYPE", &[ABOUT]),
            field("who", &["Alice@Example.org"]),
            field("all", &["b@x", "", "a@x", "B@x"]),
            field("line", &["text"]),
            field("empty", &[""]),
            "<field type='fixed'><value>read me</value></field>".to_owned(),
        ]
        .concat(),
    )
    .unwrap();
    assert_eq!(form.jid("who"), Ok(Jid::new("alice@example.org").unwrap()));
    let jids = form.jids("all").unwrap();
    assert_eq!(
        jids.iter().map(Jid::as_str).collect::<Vec<_>>(),
        ["a@x", "b@x"]
    );
    assert_eq!(form.text("line"), Ok(Some("text")));
    for absent in ["empty", "nothing"] {
        assert_eq!(form.text(absent), Ok(None));
        assert_eq!(form.required(absent), Err(FormError::Missing(absent)));
        assert_eq!(form.jids(absent), Err(FormError::Missing(absent)));
    }
    assert_eq!(form.text("all"), Err(FormError::Several("all")));
    assert_eq!(form.jid("all"), Err(FormError::Several("all")));
    let bad = submitted(&field("who", &["@"])).unwrap();
    assert_eq!(bad.jid("who"), Err(FormError::NoAddress("who")));
    assert_eq!(bad.jids("who"), Err(FormError::NoAddress("who")));
}

#[test]
fn a_form_of_something_else_is_not_taken() {
    let other = submitted(&field("FORM_TYPE", &["urn:example:other"]));
    assert_eq!(other.err(), Some(FormError::About(ABOUT)));
    let twice = submitted(&[field("a", &["1"]), field("a", &["2"])].concat());
    assert_eq!(twice.err(), Some(FormError::Twice));
    for kind in ["form", "result", "cancel"] {
        let form = Element::new("x", FORM_NS).with_attr("type", kind);
        let read = Submission::read(&form, ABOUT);
        assert_eq!(read.err(), Some(FormError::NotSubmitted), "{kind}");
    }
}

#[test]
fn what_is_read_is_bounded() {
    let fields = |count: usize| -> String {
        (0..count)
            .map(|at| field(&format!("f{at}"), &["1"]))
            .collect()
    };
    assert!(submitted(&fields(FIELDS_MAX)).is_ok());
    assert_eq!(
        submitted(&fields(FIELDS_MAX + 1)).err(),
        Some(FormError::Fields)
    );
    let values = |count: usize| field("f", &vec!["1"; count]);
    assert!(submitted(&values(VALUES_MAX)).is_ok());
    assert_eq!(
        submitted(&values(VALUES_MAX + 1)).err(),
        Some(FormError::Values)
    );
}

#[test]
fn t92_a_form_does_not_print_what_is_in_it() {
    let form = submitted(&field("password", &["secret-word"])).unwrap();
    assert_eq!(format!("{form:?}"), "{\"password\"}");
    let several = submitted(&field("password", &["secret-word", "other"])).unwrap();
    let error = several.text("password").unwrap_err().to_string();
    assert!(!error.contains("secret-word"), "{error}");
}
