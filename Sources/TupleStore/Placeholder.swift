// TupleStore
