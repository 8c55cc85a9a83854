import Client

ClientProgram.main()
