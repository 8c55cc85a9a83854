import Runtime

ServerProgram.main()
