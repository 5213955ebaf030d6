"""A bundle brought into the form that another runtime takes: ``targets`` say what each can do."""
