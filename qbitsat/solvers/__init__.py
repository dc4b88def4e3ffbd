"""Decision procedures behind one interface: clauses in, assignment or refutation out."""
